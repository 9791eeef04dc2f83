import { test } from 'tap'
import { at, build, media, operation, Price } from './app.js'

test('routes that start or read a run describe their events, 204 and 409', async (t) => {
  for (const version of ['3.0.3', '3.1.0', '3.2.0']) {
    const app = await build(t, { version }, (app) => {
      const events = { price: Price }
      app.sseRoute({ method: 'POST', url: '/join', events, source: () => [], resumable: { key: () => 'x' } })
      app.sseRoute({ method: 'POST', url: '/refuse', events, source: () => [], resumable: { key: () => 'x', onBusy: 'refuse' } })
      app.sseRoute({ url: '/resume', events, resume: () => 'x' })
      app.sseRoute({ url: '/own', schema: { response: { 204: { type: 'null', description: 'Nothing.' } } }, resume: () => 'x' })
      app.sseRoute('/plain', { source: () => [] })
    })
    const document = app.swagger()
    const statuses = (url: string, method = 'get') => Object.keys(at(operation(document, url, method), 'responses') as object)
    t.strictSame(statuses('/join', 'post'), ['200', '204'])
    t.strictSame(statuses('/refuse', 'post'), ['200', '204', '409'])
    t.strictSame(statuses('/resume'), ['200', '204'])
    t.strictSame(statuses('/plain'), ['200'])
    t.strictSame(at(operation(document, '/resume'), 'responses', '204'), { description: 'There is no run, or the client has read all its events' })
    t.strictSame(at(operation(document, '/own'), 'responses', '204', 'description'), 'Nothing.')
    t.strictSame(at(operation(document, '/resume'), 'responses', '200', 'description'), 'Server-sent events: price')
    if (version === '3.2.0') t.match(media(document, '/resume'), { itemSchema: {} })
  }
})
