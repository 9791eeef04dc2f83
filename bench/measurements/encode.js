import { Child } from '../child.js'
import { contenders, plan } from '../contenders.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const EVENTS = 100_000

/** Measures the encoding of an event without a server: CPU per event. */
export async function run () {
  // @fastify/sse does not export its encoder
  const all = contenders('').filter(({ candidate }) => candidate !== 'fastify-sse')
  const processes = new Map(all.map((contender) => [contender, new Child('encoder.js', [contender.candidate, contender.build])]))
  const results = await interleave(all, plan(11, 15), async (contender) => ({
    json: await processes.get(contender).ask('json', EVENTS),
    text: await processes.get(contender).ask('text', EVENTS)
  }))
  for (const child of processes.values()) child.stop()
  print('Encoding alone', { json: 'ns per event, JSON', text: 'ns per event, text' }, results)
}
