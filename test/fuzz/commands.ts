import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { isEventId } from '../../lib/event/id.js'
import { type Act, ALL, type Audience, badPayloads, close, closeClient, publish, send, sendBad, sendToStream, subscribe, unsubscribe, unsubscribeClient } from './acts.js'
import { compareWithLog } from './catching-up.js'
import { Follower } from './follower.js'
import { UNKNOWN } from './log.js'
import { type Client, FLOOD, gapText, type Model, type Overflow, type Rewind, REWINDS, type Route } from './model.js'
import { pathOf, soon, type World } from './world.js'

type Command = fc.AsyncCommand<Model, World>

interface Opening {
  route: Route
  overflow: Overflow
  rewind: Rewind
  clientId: string
  topics: string[]
  /** Connects with this id instead of the client's last event id; `''`: without an id, as after a reload of a page. */
  strange: string | null
  /** Does not read at first. */
  paused: boolean
  /** Number of events published while it connects. */
  meanwhile: number
  /** Number of events published during `onConnect`. */
  greeted: number
}

/** A command whose result is compared with the model; `may` tells when it can run. */
function command (name: string, run: (model: Model, world: World) => Promise<void>, may: (model: Readonly<Model>) => boolean = () => true): Command {
  return {
    check: (model) => !model.over && may(model),
    async run (model, world) {
      await run(model, world)
      await world.agree(model)
    },
    toString: () => name
  }
}

function together (acts: Act[]): Command {
  return command(acts.map(({ name }) => name).join(' and '), async (model, world) => {
    await Promise.all(acts.map((act) => act.run(model, world)))
  })
}

function open (number: number, { route, overflow, rewind, clientId, topics, strange, paused, meanwhile, greeted }: Opening): Command {
  const said = [`open ${number} ${pathOf(overflow, route, topics.join(), rewind)} as ${clientId}`]
  if (strange !== null) said.push(`with the id "${strange}"`)
  if (paused) said.push('reading nothing')
  if (meanwhile > 0) said.push(`while ${meanwhile} are published`)
  if (greeted > 0) said.push(`greeted while ${greeted} are published`)
  return command(said.join(' '), async (model, world) => {
    const client = model.client(number)
    const came = strange ?? world.followers[number]?.lastEventId ?? ''
    Object.assign(client, { route, overflow, rewind, topics: new Set(route === 'topics' ? topics : []) })
    const path = pathOf(overflow, route, topics.join(), rewind)
    let greet = () => {}
    world.greeting = new Promise((resolve) => { greet = resolve })
    const opening = Follower.open(world.socketPath, path, { 'x-client': clientId, 'x-number': String(number) }, came, paused)
    // only a client with an id of the log gets events published before its stream is open
    if (model.log.holdsAll && model.log.placeOf(came) !== UNKNOWN) {
      for (let i = 0; i < meanwhile; i++) {
        await publish(ALL).run(model, world)
        await turn()
      }
    }
    const follower = world.followers[number] = await opening
    client.clientId = world.streams[number]?.clientId ?? ''
    // a client with an id of the log gets a replay of all events of the log by then
    const replayed = isEventId(came)
    if (!replayed) model.arrive(client, came)
    // events that the log drops meanwhile would be a gap
    if (model.log.holdsAll) for (let i = 0; i < greeted; i++) await publish(ALL).run(model, world)
    if (replayed) model.arrive(client, came)
    greet()
    if (!paused) return
    // until the replay, which the client reads later, is written as far as its buffers take it
    await world.backplane.idle()
    if (model.mayPause(client)) model.pause(client, false)
    else follower.resume()
  }, (model) => model.client(number).link === 'away')
}

/** @param racing number of events published just before, of which the client gets a part */
function leave (number: number, racing: number): Command {
  return command(`leave ${number}${racing > 0 ? ` while ${racing} are published` : ''}`, async (model, world) => {
    const client = model.client(number)
    for (let i = 0; i < racing; i++) await publish(ALL).run(model, world)
    const follower = world.followers[number]
    follower?.leave()
    model.close(client, 'client')
    client.link = 'away'
    if (follower !== undefined) holdsItsPlace(model, client, follower)
  }, (model) => model.client(number).link !== 'away')
}

/** Asserts that a client with its last event id would get exactly the events that it missed, or that the id is a custom one. */
function holdsItsPlace (model: Model, client: Client, follower: Follower): void {
  const { log } = model
  const { got, lastEventId } = follower
  if (client.catchesUp) compareWithLog(log, client, got, false)
  const { due, own, came } = client
  const taken = due.slice(0, got.length)
  deepStrictEqual(got.map(({ text }) => text), taken.map(({ text }, i) => text(got[i]?.before ?? '')))
  if (own) {
    const id = taken.findLast(({ index, after }) => index === null && after !== undefined)?.after?.() ?? (came === '' || isEventId(came) ? undefined : came)
    // before its first custom id it may hold an id of the log
    if (id !== undefined) strictEqual(lastEventId, id, 'the id of its own')
    return
  }
  const place = log.placeOf(lastEventId)
  // no id, or one of another log
  if (place === UNKNOWN) return
  for (const [i, { index }] of due.entries()) {
    if (index !== null) strictEqual(index <= place, i < got.length, `event ${index} ${i < got.length ? 'came' : 'did not come'}, and the client holds the id of ${place}`)
  }
}

function pause (number: number): Command {
  return command(`pause ${number}`, async (model, world) => {
    world.followers[number]?.pause()
    model.pause(model.client(number), true)
  }, (model) => model.client(number).link === 'reading' && model.client(number).open)
}

function resume (number: number): Command {
  return command(`resume ${number}`, async (model, world) => {
    const client = model.client(number)
    const follower = world.followers[number]
    if (follower === undefined) return
    client.link = 'reading'
    follower.resume()
    if (!client.open && (client.flooded || client.replaying)) await gotPart(model, client, follower)
    else if (client.catchesUp) await soon(() => { compareWithLog(model.log, client, follower.got, true) })
    else if (client.flooded) await gotGap(model, client, follower)
    client.flooded = client.replaying = false
  }, (model) => model.client(number).link === 'paused')
}

/** Asserts that a client got a part of its events, then the end of the stream. */
async function gotPart ({ log }: Model, client: Client, follower: Follower): Promise<void> {
  await soon(() => ok(follower.over, 'the response is over'))
  const { got } = follower
  if (client.catchesUp) compareWithLog(log, client, got, false)
  else ok(got.length < client.due.length, 'an event is missing')
  client.due.length = got.length
}

/** Asserts that a client got a part of its events, then a gap for the rest. */
async function gotGap ({ log }: Model, { due, own }: Client, follower: Follower): Promise<void> {
  const { got } = follower
  const had = got.length
  await soon(() => {
    const last = got[got.length - 1]
    ok(got.length > had && last !== undefined)
    strictEqual(last.text, gapText(last.before, log.oldestId()()), 'the newest is a gap')
  })
  if (!own) strictEqual(log.placeOf(follower.lastEventId), log.newest, 'it reaches to the newest event')
  ok(got.length <= due.length, 'an event is missing')
  const { text, after } = got[got.length - 1] ?? { text: '', after: '' }
  due.splice(got.length - 1, Infinity, { text: () => text, index: log.newest, after: () => after })
}

/**
 * Publishes more than fits into the buffers of a paused client. Clients that read get each event before the next.
 * @param number a client that is paused before, if it reads
 */
function flood (act: Act, number: number): Command {
  return command(`${FLOOD} big ones: ${act.name}, unread by ${number}`, async (model, world) => {
    const client = model.client(number)
    if (client.link === 'reading' && client.open) {
      world.followers[number]?.pause()
      model.pause(client, true)
    }
    for (let i = 0; i < FLOOD; i++) {
      await act.run(model, world)
      await world.readersAgree(model)
    }
  })
}

const closeApp = command('close the app', async (model, world) => {
  model.over = true
  const closing = world.app.close()
  for (const client of model.clients) model.close(client, 'drain')
  for (const follower of world.followers) follower?.resume()
  await closing
  for (const [number, client] of model.clients.entries()) {
    const follower = world.followers[number]
    if (client.link === 'away' || follower === undefined) continue
    client.link = 'reading'
    // reconnects for the rest
    if (client.flooded || client.replaying) await gotPart(model, client, follower)
  }
  await rejects(world.app.sse.publish('a', 'late'), { code: 'SSE_ERR_CLOSING' })
  for (const stream of world.streams) if (stream !== undefined) strictEqual(await stream.send('late'), false)
})

const number = fc.nat({ max: 2 })
const topic = fc.constantFrom('a', 'b', '__proto__')
const clientId = fc.constantFrom('ann', 'constructor')
const topics = fc.oneof(topic.map((name) => [name]), fc.array(topic, { minLength: 1, maxLength: 3 }))
const audience: fc.Arbitrary<Audience> = fc.oneof(
  fc.record({ to: fc.constant('topic' as const), names: topics, except: fc.option(clientId, { freq: 3 }) }),
  clientId.map((name) => ({ to: 'client' as const, names: [name], except: null })),
  fc.constant(ALL)
)

const opening = fc.record<Opening>({
  route: fc.constantFrom('topics', 'topics', 'plain', 'unnamed'),
  overflow: fc.constantFrom('replay', 'replay', 'disconnect', 'drop'),
  rewind: fc.constantFrom(...REWINDS),
  clientId,
  topics: fc.uniqueArray(topic, { minLength: 1 }),
  // no id, ids of no log, of another log, in a form like the log's
  strange: fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom('', '', '', '1-1', '9999999999999-0', '5-', 'an id', '5-5') }
  ),
  paused: fc.boolean(),
  meanwhile: fc.nat({ max: 3 }),
  greeted: fc.nat({ max: 2 })
})

const act = fc.oneof(
  { weight: 6, arbitrary: audience.map((to) => publish(to)) },
  { weight: 1, arbitrary: number.map(sendToStream) },
  { weight: 4, arbitrary: number.map((number) => send(number)) },
  { weight: 1, arbitrary: fc.tuple(number, fc.constantFrom('own', '', '5-5')).map((args) => send(...args)) },
  { weight: 1, arbitrary: fc.tuple(number, fc.nat({ max: badPayloads - 1 })).map((args) => sendBad(...args)) },
  { weight: 2, arbitrary: fc.tuple(number, topic).map((args) => subscribe(...args)) },
  { weight: 1, arbitrary: fc.tuple(number, topic).map((args) => unsubscribe(...args)) },
  { weight: 1, arbitrary: number.map(close) },
  { weight: 1, arbitrary: clientId.map(closeClient) },
  { weight: 1, arbitrary: fc.tuple(clientId, topic).map((args) => unsubscribeClient(...args)) }
)

/** Repeats a kind of command, so that it is more likely. */
const times = (count: number, arbitrary: fc.Arbitrary<Command>) => Array<typeof arbitrary>(count).fill(arbitrary)

/** Random sequences of commands on an app and its streams. A command that cannot run at its place is skipped. */
export const commands = fc.commands([
  ...times(8, fc.tuple(number, opening).map((args) => open(...args))),
  ...times(4, fc.tuple(number, fc.nat({ max: 2 })).map((args) => leave(...args))),
  ...times(2, number.map(pause)),
  ...times(5, number.map(resume)),
  ...times(4, act.map((one) => together([one]))),
  ...times(3, fc.array(act, { minLength: 2, maxLength: 5 }).map(together)),
  ...times(2, fc.tuple(audience, number).map(([to, number]) => flood(publish(to, true), number))),
  fc.constant(closeApp)
], { maxCommands: 40, size: 'max' })
