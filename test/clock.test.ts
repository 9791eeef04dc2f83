import { mock } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { isFake, now, reached } from '../lib/clock.js'

test('the clock', async (t) => {
  t.afterEach(() => {
    mock.timers.reset()
    mock.restoreAll()
  })

  t.test('is the monotonic one, whatever becomes of the wall clock', async (t) => {
    const begun = [now(), performance.now()]
    for (const time of [0, 4e12]) {
      mock.timers.enable({ apis: ['Date'], now: time })
      await wait(5)
      t.ok(Math.abs((now() - Number(begun[0])) - (performance.now() - Number(begun[1]))) < 1)
      mock.timers.reset()
    }
    t.notOk(isFake())
  })

  t.test('follows a fake Date beside a fake setTimeout, without a leap', async (t) => {
    for (const time of [0, 4e12, 0]) {
      const before = now()
      mock.timers.enable({ apis: ['setTimeout', 'Date'], now: time })
      t.ok(isFake())
      const begun = now()
      t.ok(begun >= before && begun < before + 100)
      await wait(5)
      t.equal(now(), begun)
      mock.timers.tick(5_000)
      t.equal(now(), begun + 5_000)
      mock.timers.reset()
      const after = now()
      t.ok(after >= begun + 5_000 && after < begun + 5_100)
    }
  })

  t.test('prefers a fake performance.now(), which setSystemTime of vitest does not set', async (t) => {
    let time = 100
    mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    mock.method(performance, 'now', () => time)
    const begun = now()
    mock.timers.setTime(1_000_000)
    t.equal(now(), begun)
    time += 50
    t.equal(now(), begun + 50)
  })

  t.test('goes on where a fake clock is set back', async (t) => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
    const begun = now()
    mock.timers.setTime(10)
    t.equal(now(), begun)
    mock.timers.setTime(15)
    t.equal(now(), begun + 5)
  })

  t.test('is moved on by a timer that has fired, if that comes too early', async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const begun = now()
    const due = begun + 60_000
    t.equal(reached(due), due)
    t.ok(now() >= due && now() < due + 1_000)
    mock.timers.reset()
    const real = now()
    t.ok(reached(real + 0.5) < real + 100, 'as timers are by less than a ms')
    t.ok(now() < real + 100)
  })
})
