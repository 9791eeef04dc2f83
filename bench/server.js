import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './child.js'
import { data } from './event.js'
import { mute } from './mute.js'

// The process of one candidate: `server.js <candidate> <build of ours>`.
const [, , name, build] = process.argv
const { open } = await import(`./candidates/${name}.js`)
const candidate = await open(build)

/** Between two ticks of a fan-out, ms: the event loop turns, as it does when events come from outside. */
const PACE = 10

/** What came due while a process stood still, such as heartbeats, is done in this time, ms. */
const CATCH_UP = 20

/** The server's CPU so far, µs, of user and system: this process's, unless the server is another one. */
const cpu = candidate.cpu ?? (() => {
  const { user, system } = process.cpuUsage()
  return user + system
})

let seq = 0
let mark
let muted

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

  /** Lets the interval routes send, or skip their ticks; gives how many events were sent so far. */
  ticking (on) {
    candidate.ticks.on = on
    return candidate.ticks.sent
  },

  /** How late the ticks since the last call were. */
  lateness: () => candidate.lateness.take(),

  /** Lets what is written go nowhere. */
  async mute () {
    muted = await mute()
  },

  /** How many writes went nowhere. */
  writes: () => muted.writes,

  async mark () {
    await sleep(CATCH_UP)
    mark = cpu()
  },

  /** CPU since the mark, µs. */
  cpu: () => cpu() - mark,

  /** What is in use once all that can be freed is, bytes. Needs --expose-gc. */
  async memory () {
    for (let i = 0; i < 3; i++) {
      globalThis.gc()
      await sleep(20)
    }
    const { heapUsed, rss } = process.memoryUsage()
    return { heapUsed, rss }
  }
})
