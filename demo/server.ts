import { randomBytes } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import cookie from '@fastify/cookie'
import swaggerUI from '@fastify/swagger-ui'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import sse from 'fastify-sse-routes'
import { destination } from 'pino'
import aiChat from './ai-chat.js'
import chat from './chat.js'
import dashboard from './dashboard.js'
import { openImporter } from './data/importer.js'
import { answeringModel } from './data/language-model.js'
import { numberLines } from './data/log-tail.js'
import { signOutsInMemory } from './data/sign-outs.js'
import { measureVitals } from './data/vitals.js'
import documents from './documents.js'
import jobs from './jobs.js'
import logs from './logs.js'
import metrics from './metrics.js'
import notifications from './notifications.js'
import orders from './orders.js'
import pageLibraries from './page-libraries.js'
import room from './room.js'
import session from './session.js'
import { pages } from './site/pages.js'
import site from './site/site.js'
import { start } from './start.js'
import stocks from './stocks.js'
import ticker from './ticker.js'
import time from './time.js'
import trades from './trades.js'

export interface BuildOptions {
  /** As Fastify's; default none. */
  logger?: FastifyServerOptions['logger']
  /** The file that the logger writes, for `/logs` to read; default `demo/server.log`. */
  logFile?: string
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/**
 * Builds the demo as one app that does not listen yet.
 * A model answers at `/chats` if the environment has OPENAI_BASE_URL (and OPENAI_API_KEY, OPENAI_MODEL).
 * COOKIE_SECRET keeps users signed in from one start to the next; without it a new one is made up each time.
 */
export function build ({ logger = false, logFile = path('server.log') }: BuildOptions = {}): FastifyInstance {
  const app: FastifyInstance = Fastify({ logger })
  const vitals = measureVitals(app)
  const signOuts = signOutsInMemory()
  app.addHook('onResponse', async (request, reply) => {
    if (reply.statusCode >= 400) request.log.warn({ req: request, res: reply }, 'request refused')
  })

  app.register(documents)
  app.register(swaggerUI, { routePrefix: '/docs' })
  app.register(cookie, { secret: process.env.COOKIE_SECRET || randomBytes(32).toString('hex') })
  app.register(sse)

  app.register(time)
  app.register(dashboard, { vitals })
  app.register(logs, { logFile })
  app.register(ticker)
  app.register(stocks)
  app.register(pageLibraries)
  app.register(chat, { model: answeringModel() })
  app.register(jobs, { importFile: openImporter() })
  app.register(aiChat)
  app.register(room)
  app.register(session, { signOuts })
  app.register(notifications, { signOuts })
  app.register(orders)
  app.register(trades)
  app.register(metrics)

  app.register(site, { pages })
  return app
}

async function serve (): Promise<void> {
  const logFile = process.env.LOG_FILE || path('server.log')
  const log = destination({ dest: logFile, mkdir: true })
  const app = build({ logger: { level: 'debug', stream: log, mixin: numberLines() }, logFile })
  // After rotating the log; not SIGHUP, which a closed terminal sends too and which should end the server.
  process.on('SIGUSR2', () => log.reopen())
  await start(app, logFile)
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await serve()
