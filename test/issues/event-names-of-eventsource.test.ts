// Symptom: the error listener of an EventSource is called although the connection is fine.
// Cause: the server sends events named "error" or "open", and EventSource dispatches its own events by these names.
import { test } from 'tap'
import { makeApp } from '../helpers/app.js'

test('declaring events named error or open logs one warning per route', async (t) => {
  const lines: Array<{ level: number, msg: string }> = []
  const app = await makeApp(t, {}, { logger: { stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } })
  const source = () => []
  const takeLines = () => lines.splice(0).map(({ level, msg }) => [level, msg])
  const why = 'EventSource dispatches its own events by that name, so that listeners cannot tell them apart'
  app.sseRoute('/error', { events: { error: {}, price: {} }, source })
  t.strictSame(takeLines(), [[40, `The SSE route GET /error declares the event "error": ${why}`]])
  app.sseRoute('/both', { method: 'POST', events: { open: {}, error: {} }, source })
  t.strictSame(takeLines(), [[40, `The SSE route POST /both declares the events "error" and "open": ${why}`]])
  app.sseRoute('/others', { events: { Error: {}, opened: {}, message: {} }, source })
  app.sseRoute('/none', { source })
  t.strictSame(takeLines(), [])
})
