// URL=... node emmett.mjs SECONDS BODY POOL...: appends one event to a new stream, again and again,
// through a pool of each size in turn, and prints the appends a second of each, and all, as JSON.
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import { randomUUID } from "node:crypto";
import pg from "pg";

const WAITING = 2; // appends in hand for each connection: none is idle while Node.js works
const WARM_UP = 0.25; // of the measured time: connections are made, the code is compiled
const [seconds, body, ...pools] = process.argv.slice(2);
const data = JSON.parse(body);
let appended = 0;

async function append(store) {
  await store.appendToStream(
    `dossier-${randomUUID()}`,
    [{ type: "dossier.accepted", data, metadata: {} }],
    { expectedStreamVersion: "STREAM_DOES_NOT_EXIST" },
  );
  appended += 1;
}

async function rate(store, concurrency, length) {
  const [began, before] = [performance.now(), appended];
  const over = began + length * 1000;
  const appendUntilOver = async () => {
    while (performance.now() < over) await append(store);
  };
  await Promise.all(Array.from({ length: concurrency }, appendUntilOver));
  return ((appended - before) / (performance.now() - began)) * 1000;
}

const rates = [];
for (const max of pools.map(Number)) {
  const pool = new pg.Pool({ connectionString: process.env.URL, max });
  const store = getPostgreSQLEventStore(process.env.URL, { connectionOptions: { pool } });
  await append(store); // makes the tables, once
  await rate(store, max * WAITING, seconds * WARM_UP);
  rates.push(await rate(store, max * WAITING, Number(seconds)));
  await store.close();
  await pool.end();
}
console.log(JSON.stringify({ rates, appended }));
