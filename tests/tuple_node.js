// SPDX-License-Identifier: Apache-2.0
// tuple_node.js PACKAGE: reads lines of prog_tuples, in the order of dur_compare(), and compares them with
// what the npm package fdb-tuple makes of the same items: bytes, items, and order of the bytes. Prints
// fdb-tuple's own encodings of all lines, and at the end on stderr "N tuples".
'use strict';
const tuple = require(process.argv[2]);
const lines = require('fs').readFileSync(0, 'latin1').split('\n').slice(0, -1);

// An item of a line as fdb-tuple takes it. Integers that a number holds exactly are given as numbers.
function item(x) {
	if (!Array.isArray(x))
		return x;
	const [letter, text] = x;
	switch (letter) {
	case 'i': {
		const big = BigInt(text), small = Number(big);
		return Number.isSafeInteger(small) ? small : big;
	}
	case 'd': {
		const bits = Buffer.from(text, 'hex'), value = bits.readDoubleBE(0);
		// A NaN that passes through a number may lose its bits.
		return Number.isNaN(value) ? { type: 'double', value, rawEncoding: bits }
			: { type: 'double', value };
	}
	case 's': return Buffer.from(text, 'hex').toString('utf8');
	case 'b': return Buffer.from(text, 'hex');
	case 'u': return { type: 'uuid', value: Buffer.from(text, 'hex') };
	case 't': return x.slice(1).map(item);
	default: throw new Error(`an item of type ${letter}`);
	}
}

// An item that fdb-tuple unpacked, as a line has it.
function plain(v) {
	if (v === null || typeof v === 'boolean')
		return v;
	if (typeof v === 'number' || typeof v === 'bigint')
		return ['i', v.toString()];
	if (typeof v === 'string')
		return ['s', Buffer.from(v, 'utf8').toString('hex')];
	if (Buffer.isBuffer(v))
		return ['b', v.toString('hex')];
	if (Array.isArray(v))
		return ['t', ...v.map(plain)];
	if (v.type === 'double')
		return ['d', v.rawEncoding.toString('hex')];
	return ['u', v.value.toString('hex')];
}

let last = Buffer.alloc(0);
for (const line of lines) {
	const [hex, text] = line.split('\t');
	const items = JSON.parse(text);
	const packed = tuple.pack(items.map(item));
	const unpacked = JSON.stringify(tuple.unpack(Buffer.from(hex, 'hex'), true).map(plain));
	let wrong = '';
	if (packed.toString('hex') !== hex)
		wrong = `fdb-tuple packs it as ${packed.toString('hex')}`;
	else if (unpacked !== text)
		wrong = `fdb-tuple unpacks it as ${unpacked}`;
	else if (Buffer.compare(last, packed) > 0)
		wrong = 'in the order of its bytes it stands before the line above it';
	if (wrong) {
		console.error(`${line}\n${wrong}`);
		process.exit(1);
	}
	last = packed;
	console.log(packed.toString('hex'));
}
console.error(`${lines.length} tuples`);
