import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { test } from 'tap'
import { StreamTimeouts, Heartbeat } from '../../lib/stream/timeouts.js'
import { TIMEOUT_MAX, TimerLists } from '../../lib/timer-list.js'

const HEARTBEAT = 3_300

/** A heartbeat, and a time at which it begins anew. */
function setUp () {
  const schedules = new TimerLists()
  const heartbeat = Heartbeat.create(schedules, { heartbeat: HEARTBEAT }, { sendHeartbeat () {}, closeWith () {} })
  if (heartbeat === null) throw new Error('none')
  const now = performance.now() + HEARTBEAT
  heartbeat.refresh(now)
  return { schedules, heartbeat, now }
}

test('a heartbeat is due', async (t) => {
  t.test('when its time is over, where nothing is written', async (t) => {
    const { heartbeat, now } = setUp()
    t.equal(heartbeat.due, now + HEARTBEAT)
    heartbeat.stop()
  })

  t.test('never late, and early by a 33rd at most, whenever something is written', async () => {
    fc.assert(fc.property(fc.array(fc.double({ min: 0, max: HEARTBEAT, noNaN: true }), { minLength: 1 }), (pauses) => {
      const { heartbeat, now: begun } = setUp()
      let now = begun
      for (const pause of pauses) heartbeat.refresh(now += pause)
      const quiet = heartbeat.due - now
      heartbeat.stop()
      return quiet <= HEARTBEAT + 1e-6 && quiet > HEARTBEAT * 32 / 33 - 1e-6
    }))
  })
})

test('what is not asked for is not made', async (t) => {
  const { schedules, heartbeat } = setUp()
  heartbeat.stop()
  const stream = { sendHeartbeat () {}, closeWith () {} }
  t.equal(Heartbeat.create(schedules, { heartbeat: 0 }, stream), null)
  t.equal(StreamTimeouts.create(schedules, { idleTimeout: 0, maxLifetime: 0 }, stream), null)
  t.equal(schedules.size, 0)
})

test('the longest times are no longer than a timer can be', async (t) => {
  const schedules = new TimerLists()
  const reasons: string[] = []
  // Node takes a longer one for 1 ms
  const limits = StreamTimeouts.create(schedules, { idleTimeout: TIMEOUT_MAX, maxLifetime: TIMEOUT_MAX }, { sendHeartbeat () {}, closeWith: (reason) => { reasons.push(reason) } })
  limits?.sent()
  await wait(20)
  t.strictSame(reasons, [])
  limits?.stop()
})
