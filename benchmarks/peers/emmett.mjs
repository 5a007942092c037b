// node emmett.mjs URL SECONDS BODY: appends one event to a new stream, again and again, by some
// concurrencies in turn, and prints the best rate as JSON.
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import { randomUUID } from "node:crypto";

const [url, seconds, body] = process.argv.slice(2);
const data = JSON.parse(body);
const concurrencies = [8, 16, 32];
const store = getPostgreSQLEventStore(url);
let appended = 0;

async function append() {
  await store.appendToStream(
    `dossier-${randomUUID()}`,
    [{ type: "dossier.accepted", data, metadata: {} }],
    { expectedStreamVersion: "STREAM_DOES_NOT_EXIST" },
  );
}

async function rate(concurrency, length) {
  const over = performance.now() + length * 1000;
  const started = performance.now();
  let done = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (performance.now() < over) {
        await append();
        done += 1;
      }
    }),
  );
  appended += done;
  return (done / (performance.now() - started)) * 1000;
}

await append(); // makes its tables
appended += 1;
const rates = [];
for (const concurrency of concurrencies) {
  rates.push(await rate(concurrency, Number(seconds) / concurrencies.length));
}
console.log(JSON.stringify({ appends_per_s: Math.max(...rates), appended }));
await store.close();
