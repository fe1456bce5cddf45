// peers_zvec.mjs: zvec for `make bench-peers`, through its npm package; HNSW, m 16, efConstruction 200.
//
// Usage: node peers_zvec.mjs NODE_FOLDER build|first|serve VARIANT METRIC FOLDER INDEX [THREADS].
// Variant `f32` is the graph over floats, `i8` over its 8-bit codes with the best ranked anew by the
// floats. An effort is an ef. Every call goes through node, whose share of the time is the peer's own,
// as it has no other interface among packages here. Commands and output: peers.h.
// SPDX-License-Identifier: BSD-2-Clause
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const [nodeFolder, what, variant, metric, folder, index, threads] = process.argv.slice(2);
const zvec = createRequire(path.join(nodeFolder, 'package.json'))('@zvec/zvec');
const K = 10;
const BATCH = 1000;
const FIELD = 'vector';

function giveUp(text) {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(1);
}

/* The rows of a file of the given type, at most `limit`; a row begins after `head` numbers. */
function readRows(file, from, rows, dim) {
  const fd = fs.openSync(file, 'r');
  const bytes = Buffer.alloc(4 * rows * dim);
  fs.readSync(fd, bytes, 0, bytes.length, 8 + 4 * from * dim);
  fs.closeSync(fd);
  return new Float32Array(bytes.buffer, bytes.byteOffset, rows * dim);
}

function shape(file) {
  const fd = fs.openSync(file, 'r');
  const head = Buffer.alloc(8);
  fs.readSync(fd, head, 0, 8, 0);
  fs.closeSync(fd);
  return { rows: head.readUInt32LE(0), dim: head.readUInt32LE(4) };
}

/* TEXMEX: each row behind its length. */
function readVecs(file, Type) {
  const bytes = fs.readFileSync(file);
  const all = new Type(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const k = bytes.readUInt32LE(0);
  return Array.from({ length: all.length / (k + 1) },
    (_, i) => all.subarray(i * (k + 1) + 1, (i + 1) * (k + 1)));
}

function check(status) {
  for (const one of Array.isArray(status) ? status : [status]) {
    if (!one.ok) giveUp(`zvec: ${one.message ?? JSON.stringify(one)}`);
  }
}

function build() {
  zvec.ZVecInitialize({ optimizeThreads: Number(threads), queryThreads: 1 });
  const base = `${folder}/base.fbin`;
  const { rows, dim } = shape(base);
  const start = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  const schema = new zvec.ZVecCollectionSchema({
    name: 'bench',
    vectors: {
      name: FIELD,
      dataType: zvec.ZVecDataType.VECTOR_FP32,
      dimension: dim,
      indexParams: {
        indexType: zvec.ZVecIndexType.HNSW,
        metricType: metric === 'cosine' ? zvec.ZVecMetricType.COSINE : zvec.ZVecMetricType.L2,
        m: 16,
        efConstruction: 200,
        quantizeType:
          variant === 'i8' ? zvec.ZVecQuantizeType.INT8 : zvec.ZVecQuantizeType.UNDEFINED,
      },
    },
  });
  const collection = zvec.ZVecCreateAndOpen(index, schema);
  for (let from = 0; from < rows; from += BATCH) {
    const count = Math.min(BATCH, rows - from);
    const values = readRows(base, from, count, dim);
    check(collection.insertSync(Array.from({ length: count }, (_, i) => ({
      id: String(from + i),
      vectors: { [FIELD]: values.subarray(i * dim, (i + 1) * dim) },
    }))));
  }
  collection.optimizeSync({ concurrency: Number(threads) });
  collection.closeSync();
  const used = process.cpuUsage(cpu);
  const seconds = [Number(process.hrtime.bigint() - start) / 1e9, (used.user + used.system) / 1e6];
  console.log(seconds.map((x) => x.toFixed(3)).join('\t'));
}

function open() {
  zvec.ZVecInitialize({ queryThreads: 1, optimizeThreads: 1 });
  return zvec.ZVecOpen(index, { readOnly: true });
}

function search(collection, vector, ef) {
  return collection.querySync({
    fieldName: FIELD,
    vector,
    topk: K,
    outputFields: [],
    params: { indexType: zvec.ZVecIndexType.HNSW, ef, isUsingRefiner: variant === 'i8' },
  });
}

function first() {
  const { dim } = shape(`${folder}/query.fbin`);
  const collection = open();
  console.log(search(collection, readRows(`${folder}/query.fbin`, 0, 1, dim), 64)[0].id);
}

function resident() {
  const text = fs.readFileSync('/proc/self/status', 'utf8');
  const kib = (name) => Number(text.match(new RegExp(`${name}:\\s*(\\d+)`))[1]);
  return { all: 1024 * kib('VmRSS'), own: 1024 * (kib('VmRSS') - kib('RssFile')) };
}

/* A row counts when it is no farther than the true tenth, one given twice counts once. */
function countFound(hits, rows, distances) {
  const ids = new Set(hits.map((hit) => Number(hit.id)));
  let found = 0;
  for (let i = 0; i < rows.length && distances[i] <= distances[K - 1]; i++) {
    if (ids.has(rows[i])) found++;
  }
  return Math.min(found, K);
}

function serve() {
  const rows = readVecs(`${folder}/truth.ivecs`, Uint32Array);
  const distances = readVecs(`${folder}/truth.fvecs`, Float32Array);
  const { dim } = shape(`${folder}/query.fbin`);
  const values = readRows(`${folder}/query.fbin`, 0, rows.length, dim);
  const queries = rows.map((_, i) => values.subarray(i * dim, (i + 1) * dim));
  const before = resident();
  const collection = open();

  function run(ef) {
    const hits = new Array(queries.length);
    const times = new Float64Array(queries.length);
    const cpu = process.cpuUsage();
    const start = process.hrtime.bigint();
    let last = start;
    for (let q = 0; q < queries.length; q++) {
      hits[q] = search(collection, queries[q], ef);
      const now = process.hrtime.bigint();
      times[q] = Number(now - last) / 1e3;
      last = now;
    }
    const wall = Number(last - start) / 1e9;
    const used = process.cpuUsage(cpu);
    times.sort();
    const found = hits.reduce((sum, h, q) => sum + countFound(h, rows[q], distances[q]), 0);
    const n = queries.length;
    return [(found / (n * K)).toFixed(6), (n / wall).toFixed(2),
      (n / (1e-6 * (used.user + used.system))).toFixed(2),
      times[Math.floor(n / 2)].toFixed(2), times[Math.floor((n * 99) / 100)].toFixed(2)];
  }

  console.log('ready');
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    if (line.startsWith('run ')) {
      console.log(run(Number(line.slice(4))).join('\t'));
    } else if (line === 'memory') {
      const after = resident();
      console.log(`${after.all - before.all}\t${after.own - before.own}`);
    } else {
      giveUp(`${line} is no command`);
    }
  });
}

const commands = { build, first, serve };
if (!(what in commands)) giveUp(`${what} is none of build, first and serve`);
commands[what]();
