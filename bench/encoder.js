import { existsSync } from 'node:fs'
import { answer } from './child.js'
import { data, NAME } from './event.js'

// Process of one candidate's encoder: `encoder.js <candidate> <build of ours>`.
const [, , name, build] = process.argv

const encoders = {
  raw: async () => ({ event, data }) => `event: ${event}\ndata: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`,
  ours: async () => (await import(new URL(existsSync(new URL('event/encode.js', build)) ? 'event/encode.js' : 'event.js', build))).encode,
  'better-sse': async () => {
    const { createEventBuffer } = await import('better-sse')
    const buffer = createEventBuffer()
    return ({ event, data }) => {
      const text = buffer.push(data, event, '1').read()
      buffer.clear()
      return text
    }
  },
  'fastify-sse-v2': async () => {
    const { default: { serializeSSEEvent } } = await import('fastify-sse-v2/lib/sse.js')
    return ({ event, data }) => serializeSSEEvent({ event, data: typeof data === 'string' ? data : JSON.stringify(data) })
  }
}

const encode = await encoders[name]()

function run (count, make) {
  const payloads = Array.from({ length: 1024 }, (_, seq) => ({ event: NAME, data: make(seq) }))
  // an unused result could be optimized away
  let length = 0
  const start = process.cpuUsage()
  for (let i = 0; i < count; i++) length += Buffer.byteLength(encode(payloads[i & 1023]))
  const { user, system } = process.cpuUsage(start)
  if (length < count * 100) throw new Error(`${length} bytes are too few`)
  return (user + system) * 1000 / count
}

answer({
  json: (count) => run(count, data),
  text: (count) => run(count, (seq) => JSON.stringify(data(seq)))
})
