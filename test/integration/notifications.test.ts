import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { listen, open } from '../helpers/app.js'
import { publishingDemos, take } from './publishing-demos.js'

/** Signs in and returns the headers of that user. */
async function signIn (app: FastifyInstance, name: string): Promise<{ cookie: string }> {
  const { statusCode, headers, cookies } = await app.inject({ method: 'POST', url: '/session', payload: { name } })
  if (statusCode !== 200) throw new Error(`signing in was answered ${statusCode}`)
  const [session] = cookies
  if (!session?.httpOnly || session.sameSite !== 'Strict') throw new Error(`not a safe cookie: ${headers['set-cookie']}`)
  return { cookie: `session=${encodeURIComponent(session.value)}` }
}

const notify = (app: FastifyInstance, headers: { cookie?: string }, to: string, text: string) =>
  app.inject({ method: 'POST', url: '/notifications', headers, payload: { to, text } })

test('a notification reaches all streams of one user and no other', async (t) => {
  const app = await publishingDemos(t)
  const port = await listen(app)
  const [ada, bob] = [await signIn(app, 'ada'), await signIn(app, 'bob')]
  const [tab, other, his] = await Promise.all([ada, ada, bob].map((headers) => open(t, port, '/notifications', { headers })))
  if (!tab || !other || !his) throw new Error('no streams')
  for (const [client, user] of [[tab, 'ada'], [other, 'ada'], [his, 'bob']] as const) await client.until(`event: user\ndata: ${user}\n`)

  t.equal((await notify(app, bob, 'ada', 'for her')).statusCode, 201)
  t.equal((await notify(app, bob, 'bob', 'for himself')).statusCode, 201)
  await his.until('"from":"bob","text":"for himself"')
  for (const client of [tab, other]) {
    await client.until('event: notification\ndata: {"from":"bob","text":"for her","time":')
    t.notMatch(client.text, 'himself')
  }
  t.notMatch(his.text, 'for her')

  tab.disconnect()
  await notify(app, ada, 'ada', 'for the other tab')
  await other.until('for the other tab')
  t.pass('one tab less leaves the other alone')
})

test('a notification for an absent user is sent to the user’s next stream only', async (t) => {
  const app = await publishingDemos(t)
  const [ada, bob] = [await signIn(app, 'ada'), await signIn(app, 'bob')]
  const { id } = (await notify(app, bob, 'ada', 'first')).json()
  await notify(app, bob, 'bob', 'for himself')
  await notify(app, bob, 'ada', 'second')

  const come = async (headers: Record<string, string | undefined>, url: string, count: number) => {
    const events = await take(await injectSSE(app, { url, headers }), count)
    return events.map(({ event, data }) => event === 'notification' ? JSON.parse(data).text : event)
  }
  t.strictSame(await come({ ...ada, 'last-event-id': id }, '/notifications', 2), ['user', 'second'])
  t.strictSame(await come(ada, '/notifications?lastEventId=0-0', 4), ['user', 'gap', 'first', 'second'])
  t.strictSame(await come({ ...bob, 'last-event-id': id }, '/notifications', 2), ['user', 'for himself'])
})

test('a user who is not signed in can neither receive nor send notifications', async (t) => {
  const app = await publishingDemos(t)
  const { cookie } = await signIn(app, 'ada')
  const error = { statusCode: 401, code: 'NOT_SIGNED_IN', error: 'Unauthorized', message: 'Sign in first, by POST /session' }
  for (const headers of [{}, { cookie: 'session=ada' }, { cookie: 'session=' }, { cookie: cookie.replace('ada', 'bob') }]) {
    await t.rejects(injectSSE(app, { url: '/notifications', headers }), { code: 'SSE_ERR_NO_STREAM', statusCode: 401, body: JSON.stringify(error) })
    t.strictSame((await notify(app, headers, 'bob', 'Hello')).json(), error)
    t.strictSame((await app.inject({ url: '/session', headers })).json(), { name: null })
  }
  t.equal(app.sse.streams.size, 0)
  t.strictSame((await app.inject({ url: '/session', headers: { cookie } })).json(), { name: 'ada' })

  const elsewhere = await publishingDemos(t, 'another secret')
  await t.rejects(injectSSE(elsewhere, { url: '/notifications', headers: { cookie } }), { code: 'SSE_ERR_NO_STREAM', statusCode: 401 })
})

test('signing in as another user ends the streams of the former user', async (t) => {
  const app = await publishingDemos(t)
  const port = await listen(app)
  const [ada, bob] = [await signIn(app, 'ada'), await signIn(app, 'bob')]
  const [tab, his] = await Promise.all([ada, bob].map((headers) => open(t, port, '/notifications', { headers })))
  if (!tab || !his) throw new Error('no streams')
  const signInAgain = (headers: { cookie?: string }, name: string) => app.inject({ method: 'POST', url: '/session', headers, payload: { name } })

  for (const [headers, name] of [[{}, 'carl'], [{ cookie: 'session=ada' }, 'carl'], [ada, 'ada'], [ada, 'two words']] as const) await signInAgain(headers, name)
  await notify(app, bob, 'ada', 'still hers')
  await tab.until('still hers')
  t.equal((await signInAgain(ada, 'carl')).statusCode, 200)
  t.ok(await tab.finished(), 'as the browser has another cookie now')
  await notify(app, bob, 'bob', 'still his')
  await his.until('still his')
  t.equal(app.sse.streams.size, 1)
})

test('signing out everywhere ends all sessions and streams of the user only', async (t) => {
  const app = await publishingDemos(t)
  const port = await listen(app)
  const [laptop, bob] = [await signIn(app, 'ada'), await signIn(app, 'bob')]
  // another session
  await wait(2)
  const phone = await signIn(app, 'ada')
  t.not(phone.cookie, laptop.cookie)
  const [one, two, his] = await Promise.all([laptop, phone, bob].map((headers) => open(t, port, '/notifications', { headers })))
  if (!one || !two || !his) throw new Error('no streams')
  const signOut = (headers: { cookie?: string }) => app.inject({ method: 'POST', url: '/sign-out', headers })

  t.equal((await signOut({})).statusCode, 401)
  await notify(app, bob, 'ada', 'the last one')
  const response = await signOut(phone)
  t.equal(response.statusCode, 204)
  t.match(response.headers['set-cookie'], /^session=;/)
  for (const client of [one, two]) {
    t.ok(await client.finished())
    t.match(client.text, 'the last one')
  }
  for (const headers of [laptop, phone]) {
    await t.rejects(injectSSE(app, { url: '/notifications', headers }), { code: 'SSE_ERR_NO_STREAM', statusCode: 401 })
    t.equal((await notify(app, headers, 'bob', 'Hello')).statusCode, 401)
    t.equal((await signOut(headers)).statusCode, 401)
  }
  await notify(app, bob, 'bob', 'still his')
  await his.until('still his')
  t.equal(app.sse.streams.size, 1)

  const again = await signIn(app, 'ada')
  t.strictSame((await app.inject({ url: '/session', headers: again })).json(), { name: 'ada' })
})

test('names and texts of notifications have a maximum length', async (t) => {
  const app = await publishingDemos(t)
  const ada = await signIn(app, 'ada')
  for (const name of ['', 'two words', 'a'.repeat(41)]) {
    t.equal((await app.inject({ method: 'POST', url: '/session', payload: { name } })).statusCode, 400, `name ${name}`)
    t.equal((await notify(app, ada, name, 'Hello')).statusCode, 400, `to ${name}`)
  }
  for (const text of ['', ' ', 'a'.repeat(201)]) t.equal((await notify(app, ada, 'ada', text)).statusCode, 400, `text ${text}`)
  const zoë = await signIn(app, 'Zoë')
  t.strictSame((await app.inject({ url: '/session', headers: zoë })).json(), { name: 'Zoë' })
})
