// Symptom: the official SDKs of OpenAI and Anthropic get 406 from a streaming route.
// Cause: they send "accept: application/json" also when they request a stream.
import { test } from 'tap'
import { makeApp } from '../helpers/app.js'

/** The Accept header that the official SDKs of OpenAI and Anthropic send when they request a stream. */
const headers = { accept: 'application/json' }

test('a POST route answers a request that accepts only application/json', async (t) => {
  const app = await makeApp(t)
  app.sseRoute({ method: 'POST', url: '/', source: () => ['hello'] })
  const response = await app.inject({ method: 'POST', url: '/', headers })
  t.match(response, { statusCode: 200, headers: { 'content-type': 'text/event-stream' }, body: 'data: hello\n\n' })
})

test('the default of `accept` depends on the method of each request', async (t) => {
  const app = await makeApp(t)
  app.sseRoute({ method: ['GET', 'POST', 'PUT', 'DELETE'], url: '/', source: () => ['hello'] })
  for (const [method, statusCode] of [['GET', 406], ['HEAD', 406], ['POST', 200], ['PUT', 200], ['DELETE', 200]] as const) {
    t.equal((await app.inject({ method, url: '/', headers })).statusCode, statusCode, method)
  }
})

test('`accept: \'any\'` ignores the header for every method', async (t) => {
  const app = await makeApp(t)
  app.sseRoute({ method: ['GET', 'POST'], url: '/', accept: 'any', source: () => ['hello'] })
  for (const method of ['GET', 'HEAD', 'POST'] as const) {
    for (const accept of ['application/json', 'text/event-stream;q=0', 'nonsense']) {
      t.equal((await app.inject({ method, url: '/', headers: { accept } })).statusCode, 200, `${method} ${accept}`)
    }
  }
})

test('`accept: \'strict\'` answers 406 for every method', async (t) => {
  const app = await makeApp(t)
  app.sseRoute({ method: ['GET', 'POST'], url: '/', accept: 'strict', source: () => ['hello'] })
  for (const method of ['GET', 'HEAD', 'POST'] as const) {
    t.equal((await app.inject({ method, url: '/', headers })).statusCode, 406, method)
    t.equal((await app.inject({ method, url: '/', headers: { accept: '*/*' } })).statusCode, 200, method)
  }
})
