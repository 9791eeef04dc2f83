import { cpus, freemem, totalmem } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Type, type Static } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'

/** What was measured over one second. */
export const VitalsSchema = Type.Object({
  time: Type.Integer({ description: 'When the second ended, in ms since 1970' }),
  hostCpu: Type.Number({ description: 'Use of all cores of the host, 0 to 100' }),
  processCpu: Type.Number({ description: 'Use of one core by this process; above 100 with several threads' }),
  hostMemory: Type.Integer({ description: 'Bytes in use on the host' }),
  hostMemoryTotal: Type.Integer({ description: 'Bytes the host has' }),
  rss: Type.Integer({ description: 'Bytes of memory this process holds' }),
  heapUsed: Type.Integer({ description: 'Bytes of JavaScript objects in it' }),
  eventLoopDelay: Type.Number({ description: 'How late timers were, on average, in ms' }),
  eventLoopDelayMax: Type.Number({ description: 'How late the latest timer was, in ms' }),
  streams: Type.Integer({ description: 'Open event streams' }),
  requests: Type.Number({ description: 'Requests per second' })
})
export type Vitals = Static<typeof VitalsSchema>

export interface VitalsLog {
  /** The measurements made after `time` (ms since 1970), of the last two minutes at most, oldest first. */
  after (time: number): Vitals[]
}

const SECOND = 1_000
const KEPT = 120
const LOGGED_EVERY = 5
const LATE = 100
const RESOLUTION = 10

/** Measures this process and its host once a second from `app.ready()` to `app.close()`, and writes every fifth measurement to the app's log. */
export function measureVitals (app: FastifyInstance): VitalsLog {
  const history: Vitals[] = []
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION })
  // The histogram holds the time from one timer to the next, of which RESOLUTION is no delay.
  const late = (nanoseconds: number) => round(Math.max(0, nanoseconds / 1e6 - RESOLUTION))
  let requests = 0
  let before = readings()
  let timer: NodeJS.Timeout | undefined

  function measure (): Vitals {
    const now = readings()
    const seconds = Math.max(now.clock - before.clock, 1) / 1_000
    const vitals = {
      time: Date.now(),
      hostCpu: round(100 * (now.hostBusy - before.hostBusy) / Math.max(now.hostAll - before.hostAll, 1)),
      processCpu: round((now.processCpu - before.processCpu) / 1e4 / seconds),
      hostMemory: totalmem() - freemem(),
      hostMemoryTotal: totalmem(),
      rss: now.memory.rss,
      heapUsed: now.memory.heapUsed,
      eventLoopDelay: late(delay.count > 0 ? delay.mean : 0),
      eventLoopDelayMax: late(delay.max),
      streams: app.sse.streams.size,
      requests: round(requests / seconds)
    }
    before = now
    requests = 0
    delay.reset()
    return vitals
  }

  function tick (): void {
    const vitals = measure()
    history.push(vitals)
    if (history.length > KEPT) history.shift()
    if (vitals.eventLoopDelayMax > LATE) app.log.warn({ vitals }, 'the event loop was late')
    else if (Math.floor(vitals.time / SECOND) % LOGGED_EVERY === 0) app.log.debug({ vitals }, 'vitals')
  }

  app.addHook('onRequest', (_request, _reply, done) => {
    requests++
    done()
  })
  app.addHook('onReady', async () => {
    before = readings()
    delay.enable()
    timer = setInterval(tick, SECOND).unref()
  })
  app.addHook('onClose', async () => {
    delay.disable()
    clearInterval(timer)
  })

  return {
    after: (time) => history.filter((vitals) => vitals.time > time)
  }
}

function readings () {
  const { user, system } = process.cpuUsage()
  let hostAll = 0
  let hostIdle = 0
  for (const { times } of cpus()) {
    hostAll += times.user + times.nice + times.sys + times.irq + times.idle
    hostIdle += times.idle
  }
  return { clock: performance.now(), processCpu: user + system, hostAll, hostBusy: hostAll - hostIdle, memory: process.memoryUsage() }
}

function round (value: number): number {
  return Math.round(value * 100) / 100
}
