import { test } from 'tap'
import type { SSERouteOptions } from '../../lib/index.js'
import { readRunOptions } from '../../lib/options/runs.js'
import { makeApp } from '../helpers/app.js'

const source = () => []
const resumable = { key: () => 'x' }

test('the limits of a run have defaults', (t) => {
  t.strictSame(readRunOptions('resumable', {}, []), { keep: 300_000, maxBytes: 16_777_216, maxDuration: 3_600_000, abandonAfter: 0, onBusy: 'join' })
  const own = { keep: 0, maxBytes: 1, maxDuration: 2, abandonAfter: 3, onBusy: 'restart' } as const
  t.strictSame(readRunOptions('resumable', { ...own }, []), own)
  t.strictSame(readRunOptions('resumable', { keep: undefined }, []).keep, 300_000)
  t.end()
})

test('sseRoute refuses wrong values in "resumable" and "resume"', async (t) => {
  const app = await makeApp(t)
  const cases: Array<[options: object, code: string, message: string | RegExp]> = [
    [{ resumable: 'x' }, 'SSE_ERR_OPTION', /"resumable"/],
    [{ resumable: {} }, 'SSE_ERR_OPTION', /"resumable\.key".*got undefined/],
    [{ resumable: { key: 'x' } }, 'SSE_ERR_OPTION', /"resumable\.key".*got "x"/],
    [{ resumable: { ...resumable, keep: -1 } }, 'SSE_ERR_OPTION', /"keep" takes ms from 0/],
    [{ resumable: { ...resumable, maxBytes: 0.5 } }, 'SSE_ERR_OPTION', /"maxBytes"/],
    [{ resumable: { ...resumable, maxDuration: 0 } }, 'SSE_ERR_OPTION', /"maxDuration"/],
    [{ resumable: { ...resumable, abandonAfter: 2 ** 31 } }, 'SSE_ERR_OPTION', /"abandonAfter"/],
    [{ resumable: { ...resumable, onBusy: 'queue' } }, 'SSE_ERR_OPTION', /"onBusy" takes 'join' or 'refuse' or 'restart'/],
    [{ resumable: { ...resumable, kept: 1 } }, 'SSE_ERR_UNKNOWN_OPTION', 'resumable takes no option "kept": it takes key, keep, maxBytes, maxDuration, abandonAfter, onBusy'],
    [{ resume: 'x' }, 'SSE_ERR_OPTION', /"resume" takes a function/]
  ]
  for (const [options, code, message] of cases) t.throws(() => app.sseRoute({ url: '/', source, ...options } as SSERouteOptions), { code, message })
})

test('sseRoute refuses "resumable" and "resume" beside options that they exclude', async (t) => {
  const app = await makeApp(t)
  const resume = () => 'x'
  const cases: Array<[options: object, message: RegExp]> = [
    [{ resumable }, /needs at least one of|"resumable" goes with "source"/],
    [{ resumable, onConnect () {} }, /"resumable" goes with "source"/],
    [{ resumable, source, topics: ['a'] }, /"resumable" and "topics" exclude each other/],
    [{ resumable, source, openOn: 'first-event' }, /"openOn" and "resumable" exclude each other/],
    [{ resume, source }, /"resume" reads a run/],
    [{ resume, topics: ['a'] }, /"resume" reads a run/],
    [{ resume, interval: 5, payload () {} }, /"resume" reads a run/],
    [{ resume, resumable }, /"resume" reads a run/]
  ]
  for (const [options, message] of cases) t.throws(() => app.sseRoute({ url: '/', ...options } as SSERouteOptions), { code: 'SSE_ERR_ROUTE', message })
})
