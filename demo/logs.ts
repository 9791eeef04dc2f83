import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { GapSchema, LevelSchema, LogLineSchema, tailLog } from './data/log-tail.js'

const schema = {
  summary: 'This server’s log',
  description: 'The end of the log file, or what a client that comes back has missed, then every line that is added, also after the file was rotated or truncated.',
  tags: ['live data'],
  querystring: Type.Object({ level: Type.Optional(LevelSchema) })
}

const logs: FastifyPluginAsyncTypebox<{ logFile: string }> = async (app, { logFile }) => {
  app.sseRoute({
    url: '/logs',
    schema,
    events: { line: LogLineSchema, gap: GapSchema },
    source: (request, { lastEventId, signal }) => tailLog(logFile, { level: request.query.level, lastEventId, signal })
  })
}

export default logs
