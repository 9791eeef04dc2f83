import { deepStrictEqual, equal } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { test } from 'tap'
import { nextDueTime, TimerLists, type TimerList, type Task } from '../lib/timer-list.js'
import { until } from './helpers/app.js'

/** Timers have whole milliseconds: a task may run up to 1 ms early. */
const EARLY = 1

/** Creates a timer list and tasks that record in `ran` and `times` when they ran. */
function createTimerList () {
  const timerLists = new TimerLists()
  const list = timerLists.get(10)
  const ran: string[] = []
  const times = new Map<string, number>()
  const task = (name: string, run = () => {}): Task => ({
    due: 0,
    prev: null,
    next: null,
    run () {
      ran.push(name)
      times.set(name, performance.now())
      run()
    }
  })
  return { timerLists, list, ran, times, task }
}

/** Schedules tasks so many ms from now. */
function scheduleAll (list: TimerList, ...entries: Array<[Task, number]>): number {
  const now = performance.now()
  for (const [task, delay] of entries) list.schedule(now + delay, task)
  return now
}

test('tasks run when they are due', async (t) => {
  t.test('tasks run in the order of their due times, in whichever order they were scheduled', async (t) => {
    for (const order of ['abc', 'acb', 'bac', 'bca', 'cab', 'cba']) {
      const { list, ran, times, task } = createTimerList()
      const tasks = { a: task('a'), b: task('b'), c: task('c') }
      const delays = { a: 5, b: 15, c: 25 }
      const start = performance.now()
      for (const name of order as Iterable<'a' | 'b' | 'c'>) list.schedule(start + delays[name], tasks[name])
      await until('three runs', () => ran.length === 3)
      t.same(ran, ['a', 'b', 'c'], `scheduled as ${order}`)
      for (const name of ['a', 'b', 'c'] as const) t.ok(Number(times.get(name)) >= start + delays[name] - EARLY, `${name} is not early`)
    }
  })

  t.test('tasks with the same due time run in the order in which they were scheduled', async (t) => {
    const { list, ran, task } = createTimerList()
    scheduleAll(list, [task('a'), 5], [task('b'), 5], [task('c'), 5])
    await until('three runs', () => ran.length === 3)
    t.same(ran, ['a', 'b', 'c'])
  })

  t.test('a task whose due time has passed runs at once', async (t) => {
    const { list, ran, task } = createTimerList()
    scheduleAll(list, [task('late'), -100], [task('next'), 5])
    await until('two runs', () => ran.length === 2)
    t.same(ran, ['late', 'next'])
  })

  t.test('a task runs once', async (t) => {
    const { list, ran, task } = createTimerList()
    scheduleAll(list, [task('once'), 1], [task('later'), 30])
    await until('the later task', () => ran.includes('later'))
    t.same(ran, ['once', 'later'])
  })
})

test('a task that is scheduled again moves to its new time', async (t) => {
  // moves from its place among a, b and c to before, between or after the others
  const moves: Array<[name: 'a' | 'b' | 'c', to: number, order: string[]]> = [
    ['a', 2, ['a', 'b', 'c']], ['a', 25, ['b', 'a', 'c']], ['a', 40, ['b', 'c', 'a']],
    ['b', 2, ['b', 'a', 'c']], ['b', 22, ['a', 'b', 'c']], ['b', 40, ['a', 'c', 'b']],
    ['c', 2, ['c', 'a', 'b']], ['c', 15, ['a', 'c', 'b']], ['c', 40, ['a', 'b', 'c']]
  ]
  await Promise.all(moves.map(async ([name, to, order]) => {
    const { list, ran, times, task } = createTimerList()
    const tasks = { a: task('a'), b: task('b'), c: task('c') }
    const start = scheduleAll(list, [tasks.a, 10], [tasks.b, 20], [tasks.c, 30], [tasks[name], to])
    await until('three runs', () => ran.length === 3)
    t.same(ran, order, `${name} to ${to} ms`)
    t.ok(Number(times.get(name)) >= start + to - EARLY, `${name} does not run before ${to} ms`)
  }))
})

test('the only task of a list can be moved to a later or an earlier time', async (t) => {
  const { list, ran, times, task } = createTimerList()
  const only = task('only')
  const start = scheduleAll(list, [only, 5], [only, 40])
  await until('the run', () => ran.length === 1)
  t.ok(Number(times.get('only')) >= start + 40 - EARLY)
  scheduleAll(list, [only, 60_000], [only, 5])
  await until('the second run, long before a minute', () => ran.length === 2)
})

test('a task that is removed does not run', async (t) => {
  await Promise.all(['a', 'b', 'c'].map(async (removed) => {
    const { list, ran, task } = createTimerList()
    const tasks = { a: task('a'), b: task('b'), c: task('c') }
    scheduleAll(list, [tasks.a, 5], [tasks.b, 10], [tasks.c, 15])
    for (const [name, task] of Object.entries(tasks)) if (name === removed) list.remove(task)
    await until('the other two tasks', () => ran.length === 2)
    await wait(20)
    t.same(ran, ['a', 'b', 'c'].filter((name) => name !== removed))
  }))
})

test('within a run', async (t) => {
  t.test('a task that is removed by the task before it does not run', async (t) => {
    const { list, ran, task } = createTimerList()
    const [removed, after] = [task('removed'), task('after')]
    const first = task('first', () => list.remove(removed))
    scheduleAll(list, [first, 5], [removed, 5], [after, 5])
    await until('the last task', () => ran.includes('after'))
    t.same(ran, ['first', 'after'])
  })

  t.test('a task can remove itself and all others while it runs', async (t) => {
    const { timerLists, list, ran, task } = createTimerList()
    const others = [task('b'), task('c')]
    const first: Task = task('a', () => { for (const each of [first, ...others]) list.remove(each) })
    scheduleAll(list, [first, 5], ...others.map((other): [Task, number] => [other, 5]))
    await until('the first task', () => ran.length > 0)
    await wait(10)
    t.same(ran, ['a'])
    t.equal(timerLists.size, 0)
  })

  t.test('a task can schedule itself and others while it runs', async (t) => {
    const { list, ran, task } = createTimerList()
    const other = task('other')
    const again: Task = task('again', () => {
      if (ran.length < 3) list.schedule(performance.now() + 5, again)
      else list.schedule(0, other)
    })
    scheduleAll(list, [again, 5])
    await until('the other task', () => ran.includes('other'))
    t.same(ran, ['again', 'again', 'again', 'other'])
  })

  t.test('a task can be moved by the task before it', async (t) => {
    const { list, ran, times, task } = createTimerList()
    const moved = task('moved')
    let to = 0
    const first = task('first', () => {
      to = performance.now() + 20
      list.schedule(to, moved)
    })
    scheduleAll(list, [first, 5], [moved, 5], [task('last'), 5])
    await until('three runs', () => ran.length === 3)
    t.same(ran, ['first', 'last', 'moved'])
    t.ok(Number(times.get('moved')) >= to - EARLY)
  })
})

test('a late timer runs due tasks in order, and leaves the others', async (t) => {
  const { list, ran, times, task } = createTimerList()
  const start = scheduleAll(list, [task('b'), 10], [task('later'), 200], [task('a'), 5], [task('c'), 15])
  const end = start + 40
  while (performance.now() < end) { /* blocks the event loop */ }
  await until('all tasks', () => ran.length === 4)
  t.same(ran, ['a', 'b', 'c', 'later'])
  for (const name of ['a', 'b', 'c']) t.ok(Number(times.get(name)) >= end)
  t.ok(Number(times.get('later')) >= start + 200 - EARLY)
})

test('any sequence of scheduling, moving and removing runs tasks in the right order', async () => {
  const step = fc.record({ which: fc.nat(19), delay: fc.nat(15), remove: fc.boolean() })
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const { timerLists, list, ran, task } = createTimerList()
    const tasks = Array.from({ length: 20 }, (_, i) => task(String(i)))
    const waiting = new Map<Task, number>()
    const now = performance.now()
    for (const { which, delay, remove } of steps) {
      const each = tasks[which] ?? task('none')
      if (remove) {
        list.remove(each)
        waiting.delete(each)
      } else {
        list.schedule(now + delay, each)
        waiting.set(each, now + delay)
      }
    }
    await until('all tasks', () => ran.length === waiting.size)
    const dueOf = (name: string) => waiting.get(tasks[Number(name)] ?? task('none'))
    deepStrictEqual(ran.map(dueOf), [...waiting.values()].sort((a, b) => a - b))
    for (const each of tasks) list.remove(each)
    equal(timerLists.size, 0)
  }), { numRuns: 20 })
})

test('timerLists', async (t) => {
  t.test('TimerLists has one list for each delay', (t) => {
    const timerLists = new TimerLists()
    t.equal(timerLists.get(10), timerLists.get(10))
    t.not(timerLists.get(10), timerLists.get(20))
    t.equal(timerLists.size, 2)
    t.end()
  })

  t.test('a timer list is removed with its last task', (t) => {
    const { timerLists, list, task } = createTimerList()
    const tasks = [task('a'), task('b')]
    for (const each of tasks) list.schedule(performance.now() + 60_000, each)
    for (const each of tasks) {
      t.equal(timerLists.size, 1)
      list.remove(each)
    }
    t.equal(timerLists.size, 0)
    t.not(timerLists.get(10), list)
    t.end()
  })

  t.test('a timer list is removed after a task was removed that was never scheduled or has run', async (t) => {
    const { timerLists, list, ran, task } = createTimerList()
    const only = task('only')
    scheduleAll(list, [only, 1])
    await until('the run', () => ran.length === 1)
    list.remove(only)
    t.equal(timerLists.size, 0)
    timerLists.get(20).remove(only)
    t.equal(timerLists.size, 0)
  })
})

test('a timer list alone does not keep the process alive', async (t) => {
  const script = `
    import { TimerLists } from ${JSON.stringify(new URL('../lib/timer-list.ts', import.meta.url).href)}
    const task = { due: 0, prev: null, next: null, run () { console.log('ran') } }
    new TimerLists().get(3_600_000).schedule(performance.now() + 3_600_000, task)
    console.log('scheduled')`
  const child = promisify(execFile)(process.execPath, ['--import=./test/typescript.mjs', '--input-type=module', '--eval', script], {
    // collects no coverage, because that takes time and the tests reach every line themselves
    env: { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0' },
    timeout: 30_000
  })
  t.equal((await child).stdout, 'scheduled\n')
})

test('the next tick of a rhythm', async (t) => {
  t.test('nextDueTime() is one interval after the last due time, if the call is less than an interval late', (t) => {
    t.equal(nextDueTime(100, 10, 100), 110)
    t.equal(nextDueTime(100, 10, 105.5), 110)
    t.equal(nextDueTime(100, 10, 99.2), 110, 'or a little early')
    t.equal(nextDueTime(100, 10, 50), 110)
    t.end()
  })

  t.test('nextDueTime() skips due times that have passed', (t) => {
    t.equal(nextDueTime(100, 10, 111), 120)
    t.equal(nextDueTime(100, 10, 125), 130)
    t.equal(nextDueTime(100, 10, 1_234), 1_240)
    t.end()
  })

  t.test('nextDueTime() is never past, and is always a multiple of the interval', (t) => {
    for (let i = 0; i < 1_000; i++) {
      const [due, interval] = [Math.random() * 1_000, 1 + Math.floor(Math.random() * 100)]
      const now = due + Math.random() * 1_000 - 1
      const next = nextDueTime(due, interval, now)
      const beats = (next - due) / interval
      if (!(next > now && next <= now + interval + EARLY && Math.abs(beats - Math.round(beats)) < 1e-9 && beats > 0.5)) {
        t.fail(`nextDueTime(${due}, ${interval}, ${now}) is ${next}`)
      }
    }
    t.end()
  })

  t.test('nextDueTime() keeps a task on its multiples of the interval after a delay', async (t) => {
    const { list, ran, task } = createTimerList()
    const beats: number[] = []
    const ticker: Task = task('tick', () => {
      beats.push((ticker.due - start) / 10)
      if (beats.length === 2) for (const end = performance.now() + 35; performance.now() < end;) { /* blocks the event loop */ }
      if (beats.length < 5) list.schedule(nextDueTime(ticker.due, 10, performance.now()), ticker)
    })
    const start = scheduleAll(list, [ticker, 10])
    await until('five ticks', () => ran.length === 5)
    t.ok(beats.every((beat) => Math.abs(beat - Math.round(beat)) < 1e-6), `multiples of the interval: ${beats}`)
    t.ok(Math.round(Number(beats[2])) - Math.round(Number(beats[1])) >= 4, `three skipped: ${beats}`)
    t.same(beats, [...beats].sort((a, b) => a - b))
  })
})
