// The lines of a log file, filtered by level: the last lines for a new client, the missed lines after a reconnect. Start it with
// LOG_FILE=<file>, a file with lines of JSON as pino writes them, and run beside it:
//   curl -N 'http://127.0.0.1:3000/logs?level=40'
//   echo '{"level":50,"msg":"The disk is full"}' >> <file>
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import TailFile from '@logdna/tail-file'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const levels = [10, 20, 30, 40, 50, 60]
const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse, { history: { size: 500 } })

app.sseRoute({
  url: '/logs',
  schema: { querystring: Type.Object({ level: Type.Integer({ default: 30 }) }) },
  // a topic per level, so that a filter is a list of topics
  topics: (request) => levels.filter((level) => level >= request.query.level).map((level) => `log:${level}`),
  rewind: 100
})

const { LOG_FILE: file = 'app.log' } = process.env
const tail = new TailFile(file, { encoding: 'utf8', startPos: Math.max(0, (await stat(file)).size - 65_536), pollFileIntervalMs: 200 })
await tail.start()
app.addHook('preClose', () => tail.quit())

async function publishLines () {
  for await (const line of createInterface({ input: tail })) {
    const [, level] = /^{"level":(\d+)/.exec(line) ?? []
    // the data is the text of the line, so nothing serializes it again
    if (level !== undefined) await app.sse.publish(`log:${level}`, { event: 'line', data: line })
  }
}
publishLines().catch((error) => app.log.error(error))

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
