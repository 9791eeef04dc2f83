import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LevelSchema, LogLineSchema, tailLog } from './data/log-tail.js'

const schema = {
  summary: 'This server’s log',
  description: 'The end of the log file, then every line that is added to it, also after it was rotated or truncated.',
  tags: ['live data'],
  querystring: Type.Object({ level: Type.Optional(LevelSchema) })
}

const logs: FastifyPluginAsyncTypebox<{ logFile: string }> = async (app, { logFile }) => {
  app.sseRoute({
    url: '/logs',
    schema,
    events: { line: LogLineSchema },
    source: async function * (request, stream) {
      for await (const line of tailLog(logFile, { level: request.query.level, signal: stream.signal })) {
        yield { event: 'line', data: line }
      }
    }
  })
}

export default logs
