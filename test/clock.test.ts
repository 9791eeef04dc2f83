import { mock } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { isFake, now, reached } from '../lib/clock.js'

test('the clock', async (t) => {
  t.afterEach(() => {
    mock.timers.reset()
    mock.restoreAll()
  })

  t.test('now() is monotonic and does not follow changes of the wall clock', async (t) => {
    const start = [now(), performance.now()]
    for (const time of [0, 4e12]) {
      mock.timers.enable({ apis: ['Date'], now: time })
      await wait(5)
      t.ok(Math.abs((now() - Number(start[0])) - (performance.now() - Number(start[1]))) < 1)
      mock.timers.reset()
    }
    t.notOk(isFake())
  })

  t.test('now() follows a fake Date if setTimeout is faked, without a jump at the beginning and the end', async (t) => {
    for (const time of [0, 4e12, 0]) {
      const before = now()
      mock.timers.enable({ apis: ['setTimeout', 'Date'], now: time })
      t.ok(isFake())
      const start = now()
      t.ok(start >= before && start < before + 100)
      await wait(5)
      t.equal(now(), start)
      mock.timers.tick(5_000)
      t.equal(now(), start + 5_000)
      mock.timers.reset()
      const after = now()
      t.ok(after >= start + 5_000 && after < start + 5_100)
    }
  })

  t.test('now() prefers a fake performance.now(), because setSystemTime of vitest does not set it', async (t) => {
    let time = 100
    mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    mock.method(performance, 'now', () => time)
    const start = now()
    mock.timers.setTime(1_000_000)
    t.equal(now(), start)
    time += 50
    t.equal(now(), start + 50)
  })

  t.test('now() continues when a fake clock is set back', async (t) => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
    const start = now()
    mock.timers.setTime(10)
    t.equal(now(), start)
    mock.timers.setTime(15)
    t.equal(now(), start + 5)
  })

  t.test('a timer that fires before the clock has reached its time advances now()', async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const start = now()
    const due = start + 60_000
    t.equal(reached(due), due)
    t.ok(now() >= due && now() < due + 1_000)
    mock.timers.reset()
    const real = now()
    t.ok(reached(real + 0.5) < real + 100, 'real timers fire up to 1 ms early')
    t.ok(now() < real + 100)
  })
})
