// Stores through claude-flow's own store, named by its file, what JSON has no word for, in .swarm/memory.db.
import { pathToFileURL } from 'node:url';

const { SqliteMemoryStore } = await import(pathToFileURL(process.argv[2]));
const store = new SqliteMemoryStore();
const day = new Date(Date.UTC(2026, 2, 4));
const values = {
  date: day,
  nothing: undefined,
  big: 12345678901234567890n,
  nan: [NaN, Infinity, -Infinity],
  map: new Map([['a', day], ['b', [1, undefined]]]),
  'map of numbers': new Map([[1, 2]]),
  set: new Set([1, 'two', day]),
  expression: /a+b/gi,
  error: Object.assign(new Error('broken'), { stack: 'at line 1' }),
  bytes: new Uint8Array([0, 255]),
  deep: { list: [{ at: day, none: undefined }], text: 'é 🐝 "quoted"\n' },
  long: { text: 'é'.repeat(2000), at: day, list: Array.from({ length: 300 }, (_, i) => i) },
  'long text': '🐝'.repeat(2000),
};
for (const [key, value] of Object.entries(values)) await store.store(key, value, { namespace: 'values', metadata: { by: 'store', none: undefined } });
store.close();
