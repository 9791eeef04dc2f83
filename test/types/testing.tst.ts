import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import { type InjectedStream, injectSSE } from '../../lib/testing.js'

const app = Fastify()

describe('injectSSE', () => {
  test('injectSSE accepts a path or the options of app.inject', () => {
    expect(injectSSE(app, '/')).type.toBe<Promise<InjectedStream>>()
    expect(injectSSE).type.toBeCallableWith(app, {
      url: '/', method: 'POST', query: { a: ['1', '2'] }, cookies: { session: 'x' }, remoteAddress: '10.0.0.7', authority: 'a.example', headers: { a: 'b' }, body: {}, signal: AbortSignal.timeout(1), timeout: 1
    })
    expect(injectSSE).type.toBeCallableWith(app, { path: { pathname: '/', query: 'a=1' } })
  })

  test('injectSSE refuses other arguments', () => {
    expect(injectSSE).type.not.toBeCallableWith(app)
    expect(injectSSE).type.not.toBeCallableWith(app, 42)
    expect(injectSSE).type.not.toBeCallableWith(app, { url: '/', timeout: '1s' })
    expect(injectSSE).type.not.toBeCallableWith(app, { url: '/', payloadAsStream: false })
    expect(injectSSE).type.not.toBeCallableWith(app, { url: '/', querry: {} })
  })

  test('an injected stream has its text as raw and read()', () => {
    expect<InjectedStream['raw']>().type.toBe<string>()
    expect<InjectedStream['read']>().type.toBe<() => Promise<string | undefined>>()
  })
})
