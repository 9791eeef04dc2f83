import fc from 'fast-check'
import { test } from 'tap'
import { Deadlines, Heartbeat } from '../lib/quiet.js'
import { Schedules } from '../lib/schedule.js'

const HEARTBEAT = 3_200

/** A heartbeat of a stream that is as old as the process. */
function setUp () {
  const schedules = new Schedules()
  const heartbeat = Heartbeat.of(schedules, { heartbeat: HEARTBEAT }, { beat () {}, closeWith () {} })
  if (heartbeat === null) throw new Error('none')
  heartbeat.begin(0)
  return { schedules, heartbeat }
}

test('a heartbeat is due', async (t) => {
  t.test('to the ms where nothing is written', async (t) => {
    const { heartbeat } = setUp()
    t.equal(heartbeat.due, HEARTBEAT)
    heartbeat.begin(1_000)
    t.equal(heartbeat.due, 1_000 + HEARTBEAT)
    heartbeat.stop()
  })

  t.test('never early, and late by a 32nd at most, whenever something is written', async () => {
    fc.assert(fc.property(fc.array(fc.double({ min: 0, max: HEARTBEAT, noNaN: true }), { minLength: 1 }), (pauses) => {
      const { heartbeat } = setUp()
      let now = 0
      for (const pause of pauses) heartbeat.broken(now += pause)
      const quiet = heartbeat.due - now
      heartbeat.stop()
      return quiet > HEARTBEAT - 1e-6 && quiet < HEARTBEAT * 33 / 32 + 1e-6
    }))
  })

  t.test('again from where it went out', async (t) => {
    const { heartbeat } = setUp()
    heartbeat.broken(10)
    heartbeat.begin(heartbeat.due)
    heartbeat.broken(heartbeat.due - HEARTBEAT + 1)
    t.ok(heartbeat.due > 2 * HEARTBEAT)
    heartbeat.stop()
  })
})

test('what is not asked for is not made', async (t) => {
  const { schedules, heartbeat } = setUp()
  heartbeat.stop()
  const stream = { beat () {}, closeWith () {} }
  t.equal(Heartbeat.of(schedules, { heartbeat: 0 }, stream), null)
  t.equal(Deadlines.of(schedules, { idleTimeout: 0, maxLifetime: 0 }, stream), null)
  t.equal(schedules.size, 0)
})
