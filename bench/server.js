import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './child.js'
import { data } from './event.js'
import { mute } from './mute.js'

// Process of one candidate: `server.js <candidate> <build of ours>`.
const [, , name, build] = process.argv
const { open } = await import(`./candidates/${name}.js`)
const candidate = await open(build)

/** Pause between two ticks of a fan-out, ms, so that the event loop turns as it does for events from outside. */
const PACE = 10

/** Number of events that are published without waiting for the one before. */
const AT_ONCE = 100

/** Time for work that came due while a process was stopped, such as heartbeats, ms. */
const CATCH_UP = 20

/** Returns the CPU of the server so far, user and system, µs; that of this process unless the server is another one. */
const cpu = candidate.cpu ?? (() => {
  const { user, system } = process.cpuUsage()
  return user + system
})

let seq = 0
let mark
let muted
const delay = monitorEventLoopDelay({ resolution: 5 })

answer({
  port: () => candidate.port,

  /** Publishes `perTick` events in each of `ticks` turns of the event loop, to all that are open on `path`. */
  async publish ({ path, ticks, perTick }) {
    for (let tick = 0; tick < ticks; tick++) {
      await Promise.all(Array.from({ length: perTick }, () => candidate.publish(data(seq++), path)))
      await sleep(PACE)
    }
    return seq
  },

  /**
   * Publishes events that tell when they were sent, ns on the machine's clock: one every `pace` ms, or `atOnce` at the same time
   * as fast as they are taken. `from`: the number of the first one, if it does not follow the events so far.
   */
  async send ({ count, pace, atOnce = AT_ONCE, from = seq, path = '/feed' }) {
    seq = from
    const publish = () => candidate.publish({ seq: seq++, sent: Number(process.hrtime.bigint()) }, path)
    for (let left = count; left > 0; left -= atOnce) {
      if (pace === undefined) await Promise.all(Array.from({ length: Math.min(left, atOnce) }, publish))
      else for (let i = 0; i < Math.min(left, atOnce); i++) await Promise.all([publish(), sleep(pace)])
    }
  },

  /** Publishes `count` events that clients of `/replay` have missed. Returns the id before the first of them. */
  fill (count) {
    seq = count
    return candidate.fill(count)
  },

  /** Starts to measure the delays of the event loop. */
  watchDelay () {
    delay.enable()
  },

  /** Returns the longest delay of the event loop since `watchDelay`, ms. */
  longestDelay: () => delay.max / 1e6,

  /** Lets the interval routes send or skip their ticks. Returns the number of events sent so far. */
  ticking (on) {
    candidate.ticks.on = on
    return candidate.ticks.sent
  },

  /** Returns the lateness of the ticks since the last call. */
  lateness: () => candidate.lateness.take(),

  /** Discards all writes from now on. */
  async mute () {
    muted = await mute()
  },

  /** Returns the number of discarded writes. */
  writes: () => muted.writes,

  async mark () {
    await sleep(CATCH_UP)
    mark = cpu()
  },

  /** Returns the CPU since the mark, µs. */
  cpu: () => cpu() - mark,

  /** Returns the memory in use after a garbage collection, bytes. Needs --expose-gc. */
  async memory () {
    for (let i = 0; i < 3; i++) {
      globalThis.gc()
      await sleep(20)
    }
    const { heapUsed, rss } = process.memoryUsage()
    return { heapUsed, rss }
  }
})
