import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { test } from 'tap'
import { StreamTimeouts, Heartbeat } from '../../lib/stream/timeouts.js'
import { TIMEOUT_MAX, TimerLists } from '../../lib/timer-list.js'

const HEARTBEAT = 3_300

/** Creates a heartbeat and refreshes it at a known time. */
function createHeartbeat () {
  const timerLists = new TimerLists()
  const heartbeat = Heartbeat.create(timerLists, { heartbeat: HEARTBEAT }, { sendHeartbeat () {}, closeWith () {} })
  if (heartbeat === null) throw new Error('none')
  const now = performance.now() + HEARTBEAT
  heartbeat.refresh(now)
  return { timerLists, heartbeat, now }
}

test('a heartbeat is due', async (t) => {
  t.test('a heartbeat is due after its interval when nothing is written', async (t) => {
    const { heartbeat, now } = createHeartbeat()
    t.equal(heartbeat.due, now + HEARTBEAT)
    heartbeat.stop()
  })

  t.test('a heartbeat that writes refresh is never late, and early by 1/33 at most', async () => {
    fc.assert(fc.property(fc.array(fc.double({ min: 0, max: HEARTBEAT, noNaN: true }), { minLength: 1 }), (pauses) => {
      const { heartbeat, now: start } = createHeartbeat()
      let now = start
      for (const pause of pauses) heartbeat.refresh(now += pause)
      const remaining = heartbeat.due - now
      heartbeat.stop()
      return remaining <= HEARTBEAT + 1e-6 && remaining > HEARTBEAT * 32 / 33 - 1e-6
    }))
  })
})

test('timeouts of 0 create no timer', async (t) => {
  const { timerLists, heartbeat } = createHeartbeat()
  heartbeat.stop()
  const stream = { sendHeartbeat () {}, closeWith () {} }
  t.equal(Heartbeat.create(timerLists, { heartbeat: 0 }, stream), null)
  t.equal(StreamTimeouts.create(timerLists, { idleTimeout: 0, maxLifetime: 0 }, null, stream), null)
  t.equal(timerLists.size, 0)
})

test('timeouts of TIMEOUT_MAX do not fire early', async (t) => {
  const timerLists = new TimerLists()
  const reasons: string[] = []
  // Node fires a timer with a longer delay after 1 ms
  const limits = StreamTimeouts.create(timerLists, { idleTimeout: TIMEOUT_MAX, maxLifetime: TIMEOUT_MAX }, null, { sendHeartbeat () {}, closeWith: (reason) => { reasons.push(reason) } })
  limits?.sent()
  await wait(20)
  t.strictSame(reasons, [])
  limits?.stop()
})
