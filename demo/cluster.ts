import cluster from 'node:cluster'
import { randomBytes } from 'node:crypto'
import cookie from '@fastify/cookie'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'
import { redisBackplane } from 'fastify-sse-routes/redis'
import chat from './chat.js'
import { openImporter } from './data/importer.js'
import { answeringModel } from './data/language-model.js'
import { signOutsInRedis } from './data/sign-outs.js'
import jobs from './jobs.js'
import notifications from './notifications.js'
import processes from './processes.js'
import session from './session.js'
import { clusterPages as pages } from './site/pages.js'
import site from './site/site.js'

const { PORT = '3000', HOST: host = '127.0.0.1', PROCESSES = '3', REDIS_URL: url = 'redis://127.0.0.1:6379' } = process.env

/** One of the processes, which all do the same. */
async function serve (number: number): Promise<void> {
  const signOuts = signOutsInRedis(url, 'cluster demo sign-outs')
  const app = Fastify({ logger: { level: 'warn' } })
  app.register(sse, {
    retry: 1_000,
    history: { size: 200 },
    backplane: redisBackplane({ url, key: 'cluster demo', timeout: 2_000 })
  })
  app.register(processes, { number })
  app.register(chat, { model: answeringModel() })
  app.register(jobs, { importFile: openImporter() })
  app.register(cookie, { secret: process.env.COOKIE_SECRET ?? '' })
  app.register(session, { signOuts })
  app.register(notifications, { signOuts })
  app.addHook('onRequest', async (_request, reply) => { reply.header('x-process', process.pid) })
  app.addHook('onClose', async () => signOuts.close())
  app.register(site, { pages })

  // Ctrl+C reaches all processes; the primary tells these when to end.
  process.on('SIGINT', () => {})
  process.once('SIGTERM', async () => {
    // The streams have ended by then; a connection that a browser opened ahead of need would be waited for.
    setTimeout(() => app.server.closeAllConnections(), 500).unref()
    await app.close()
    process.disconnect()
  })
  try {
    await app.listen({ port: Number(PORT), host })
  } catch (error) {
    const { code, message, cause } = error as NodeJS.ErrnoException
    console.error(code === 'SSE_ERR_BACKPLANE' ? `${message} (${cause})\nIs Redis there? Start one with "redis-server", or say with REDIS_URL where it is.` : message)
    process.exit(1)
  }
}

/** Starts the first process and, once that listens, the others; and another for each that ends. */
function startAll (): void {
  let ending = false
  // each process takes connections itself: one that the primary has handed to a process that is killed meanwhile would be lost
  cluster.schedulingPolicy = cluster.SCHED_NONE
  // one secret, so that each process knows the sessions of the others
  const env = { COOKIE_SECRET: process.env.COOKIE_SECRET || randomBytes(32).toString('hex') }
  const fork = () => { if (!ending) cluster.fork(env) }
  fork()
  cluster.once('exit', () => { process.exitCode = 1 })
  cluster.once('listening', (_worker, { port }) => {
    console.log(`Open http://${host}:${port} in a browser, which is served by ${PROCESSES} processes. Ctrl+C ends them.`)
    cluster.removeAllListeners('exit')
    cluster.on('exit', ({ id }, code, signal) => {
      if (ending) return
      console.log(`Process ${id} ended with ${signal ?? code}. Another takes its place.`)
      setTimeout(fork, 500)
    })
    for (let n = 1; n < Number(PROCESSES); n++) fork()
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      ending = true
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM')
    })
  }
}

if (cluster.worker) await serve(cluster.worker.id)
else startAll()
