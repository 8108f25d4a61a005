/* SPDX-License-Identifier: Apache-2.0 */
/* Results as text. */
#include <stdio.h>
#include <string.h>

#include "duramen.h"
#include "internal/error.h"

const char *dur_version(void)
{
	return "0.1.0";
}

const char *dur_message(void)
{
	return error_text();
}

const char *dur_strerror(int result)
{
	switch (result) {
	case DUR_OK:           return "done";
	case DUR_NONE:         return "no: nothing there, at the end, or timed out";
	case DUR_E_MISUSE:     return "a handle or argument that cannot be";
	case DUR_E_TYPE:       return "something of another type is there";
	case DUR_E_PATH:       return "not a JSON Pointer, or a step that cannot be";
	case DUR_E_PARENT:     return "the collection to write into is not there";
	case DUR_E_RANGE:      return "position or number out of range";
	case DUR_E_LIMIT:      return "too long, nested too deep, or too big";
	case DUR_E_NAME:       return "not a valid name";
	case DUR_E_READ_ONLY:  return "a write to something that can only be read";
	case DUR_E_STALE:      return "the collection is gone, or its view was closed";
	case DUR_E_FORKED:     return "a handle of the parent process";
	case DUR_E_LOCKED:     return "another writer holds the lock";
	case DUR_E_CONFLICT:   return "something that was read has changed since, or a stream does not fit";
	case DUR_E_GONE:       return "the state is not, or no longer, retained";
	case DUR_E_REFERENCED: return "references to the object remain";
	case DUR_E_CONSTRAINT: return "a rule of the class forbids it";
	case DUR_E_CORRUPT:    return "a checksum or structure is wrong";
	case DUR_E_FORMAT:     return "not a page file, or one of a newer version";
	case DUR_E_FAILED:     return "a flush failed earlier";
	case DUR_E_PEER:       return "a peer of a cut-off group commit is missing";
	default:
		break;
	}
	if (result < 0 && result > -4096) {
		const char *text = strerrordesc_np(-result);
		if (text)
			return text;
	}
	return "unknown result";
}
