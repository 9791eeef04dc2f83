// Tested by test/redis/run-store.test.ts
import { Script } from './scripts.js'

/** The time for which a producing process keeps its lease after it was renewed, ms. */
export const LEASE = 6_000
/** The interval at which leases are renewed and runs are checked, ms. */
export const BEAT = 2_000
/** The time for which a run that no reader has left counts as read after a check, ms. Longer than `BEAT`, because a check may be late. */
const READ = 5_000
/** The shortest time for which the keys of a running run outlive the last renewal of their expiry, ms, so that they outlive an outage of Redis. */
const RUNNING = 600_000
/** The shortest time for which the events of an ended run stay, ms. Streams that are still reading them extend it. */
const ENDED = 60_000
/** The limits of the bus: its number of messages, and the time for which it stays after its last message, ms. */
const BUS = { length: 1_000, expiry: 10_000 }
/** The greatest number of characters and of events that a message of the bus carries. Larger events are read from the stream of their run. */
const INLINE = { characters: 16_384, events: 100 }
/** The longest time that a command may have been on its way if its script marks runs as lost, ms. After a longer time Redis may have been unavailable, so that living processes could not renew their leases. */
const FRESH = 1_500

/*
 * Each script has one key, `{key}:run`, from which it makes all others, so that they are in one slot. That key does not exist, so that a
 * node of a cluster whose slot is being moved refuses the scripts until all keys are on one node:
 * - `{key}:runs`: the bus, a stream with the messages that wake up the readers of all processes;
 * - `{key}:run:<id>`: a hash for each run, with the fields `key`, `state`, `startedAt`, `endedAt`, `producer`, `events` (their number),
 *   `keep`, `read` (the time up to which the run is being read), and `stop` once the run has to stop;
 * - `{key}:run:<id>:events`: a stream for each run. The id of the event number n is `n-0`;
 * - `{key}:run-of:<run key>`: the id of the newest run of a key;
 * - `{key}:run-producer:<process>`: the lease of a process that runs sources.
 * All times are those of Redis' clock, in ms.
 */
const COMMON = `
local base, bus = KEYS[1], KEYS[1] .. 's'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole (number) return string.format('%.0f', number) end
local function hashOf (id) return base .. ':' .. id end
local function pointerOf (key) return base .. '-of:' .. key end
local function tell (message)
  redis.call('XADD', bus, 'MAXLEN', '~', ${BUS.length}, '*', unpack(message))
  redis.call('PEXPIRE', bus, ${BUS.expiry})
end
local function infoOf (id)
  local run = hashOf(id)
  if redis.call('EXISTS', run) == 0 then return {} end
  local values = redis.call('HMGET', run, 'key', 'state', 'startedAt', 'endedAt', 'producer', 'events')
  return { id, unpack(values) }
end
local function keepRunning (id)
  local run = hashOf(id)
  local key, keep = unpack(redis.call('HMGET', run, 'key', 'keep'))
  local expiry = whole(math.max(tonumber(keep), ${RUNNING}))
  redis.call('PEXPIRE', run, expiry)
  redis.call('PEXPIRE', run .. ':events', expiry)
  if redis.call('GET', pointerOf(key)) == id then redis.call('PEXPIRE', pointerOf(key), expiry) end
end
local function keepEnded (id)
  local run = hashOf(id)
  local key, keep = unpack(redis.call('HMGET', run, 'key', 'keep'))
  local expiry = whole(math.max(tonumber(keep), ${ENDED}))
  redis.call('PEXPIRE', run, expiry)
  redis.call('PEXPIRE', run .. ':events', expiry)
  -- an expiry of 0 deletes the key
  if redis.call('GET', pointerOf(key)) == id then redis.call('PEXPIRE', pointerOf(key), keep) end
end
local function append (id, from, texts, state)
  local run, last, characters = hashOf(id), from - 1, 0
  for _, text in ipairs(texts) do
    last = last + 1
    characters = characters + #text
    redis.call('XADD', run .. ':events', whole(last) .. '-0', 'text', text)
  end
  redis.call('HSET', run, 'events', whole(last))
  local message = { 'run', id, 'from', whole(from), 'to', whole(last) }
  if state == '' then
    -- XADD has created the stream without an expiry
    if from == 1 then keepRunning(id) end
  else
    redis.call('HSET', run, 'state', state, 'endedAt', whole(now))
    keepEnded(id)
    for _, value in ipairs({ 'state', state, 'endedAt', whole(now) }) do message[#message + 1] = value end
  end
  if characters <= ${INLINE.characters} and #texts <= ${INLINE.events} then
    for _, text in ipairs(texts) do
      message[#message + 1] = 'text'
      message[#message + 1] = text
    end
  end
  tell(message)
end
-- marks a run as lost if its producer is dead, and returns the run
local function settle (id, trust, last)
  local run = hashOf(id)
  local state, producer, events = unpack(redis.call('HMGET', run, 'state', 'producer', 'events'))
  local fresh = tonumber(trust) > 0 and now - trust < ${FRESH}
  if state == 'running' and fresh and redis.call('EXISTS', base .. '-producer:' .. producer) == 0 then
    append(id, events + 1, { last }, 'lost')
  end
  return infoOf(id)
end
local function stop (id)
  redis.call('HSET', hashOf(id), 'stop', '1')
  tell({ 'stop', id })
end
`

/** Returns the time of Redis, ms, and the id of the newest message of the bus. */
export const OPEN_BUS = new Script(`${COMMON}
local newest = redis.call('XREVRANGE', bus, '+', '-', 'COUNT', 1)[1]
return { whole(now), newest and newest[1] or '0-0' }
`)

/**
 * Starts a run, unless a run of its key is going on.
 * ARGV: the key, the id of the new run, the process, `keep`, '1' to stop a run that is going on, then trust and the last event as in CHECK.
 * Returns 1 and the new run, or 0 and the run that is going on.
 */
export const START = new Script(`${COMMON}
local key, id, producer, keep, restart, trust, last = unpack(ARGV)
local pointer = pointerOf(key)
local old = redis.call('GET', pointer)
-- the answer to an earlier attempt was lost
if old == id then return { 1, unpack(infoOf(id)) } end
if old then
  local found = settle(old, trust, last)
  if found[3] == 'running' then
    if restart == '' then return { 0, unpack(found) } end
    stop(old)
  end
end
redis.call('HSET', hashOf(id), 'key', key, 'state', 'running', 'startedAt', whole(now), 'endedAt', '', 'producer', producer,
  'events', '0', 'keep', keep, 'read', whole(now))
redis.call('SET', pointer, id)
redis.call('SET', base .. '-producer:' .. producer, '1', 'PX', ${LEASE})
keepRunning(id)
return { 1, unpack(infoOf(id)) }
`)

/** Returns the newest run of a key; nothing if there is none. ARGV: the key, trust and the last event as in CHECK, '1' to stop the run if it is going on. */
export const FIND = new Script(`${COMMON}
local key, trust, last, stops = unpack(ARGV)
local id = redis.call('GET', pointerOf(key))
if not id then return {} end
local found = settle(id, trust, last)
if found[3] == 'running' and stops ~= '' then stop(id) end
return found
`)

/**
 * Appends events to a run, or ends it. Returns the run; nothing if there is none. Does nothing if the run has ended, or has fewer events
 * than those before the first one. Skips events that an earlier attempt has stored.
 * ARGV: the id of the run, the number of the first event, the state ('' for a run that goes on), the events. The end of a run has no number.
 */
export const STORE = new Script(`${COMMON}
local id, from, state = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local found = infoOf(id)
if found[3] ~= 'running' then return found end
local stored = tonumber(found[7])
if state == '' then
  local last = from + #ARGV - 4
  if stored < from - 1 or stored >= last then return found end
  append(id, stored + 1, { unpack(ARGV, 4 + stored + 1 - from) }, '')
else
  append(id, stored + 1, { unpack(ARGV, 4) }, state)
end
return infoOf(id)
`)

/** Renews the lease of a process, and the expiry of its runs. ARGV: the process, the ids of its runs. Returns the time, and for each run 1 (it has to stop) or 0, and the run. */
export const RENEW = new Script(`${COMMON}
redis.call('SET', base .. '-producer:' .. ARGV[1], '1', 'PX', ${LEASE})
local runs = {}
for i = 2, #ARGV do
  local found = infoOf(ARGV[i])
  if found[3] == 'running' then keepRunning(ARGV[i]) end
  runs[#runs + 1] = { redis.call('HEXISTS', hashOf(ARGV[i]), 'stop'), unpack(found) }
end
return { whole(now), runs }
`)

/**
 * Checks runs that a process reads: marks them as read, and as lost if their producer is dead.
 * ARGV: trust (the time at which the command was sent; 0: marks no run as lost), the last event of a lost run, the ids of the runs.
 * Returns the time, and the runs, empty for a run that does not exist.
 */
export const CHECK = new Script(`${COMMON}
local runs = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local run, found = hashOf(id), settle(id, ARGV[1], ARGV[2])
  if found[3] == 'running' then
    redis.call('HSET', run, 'read', whole(now + ${READ}))
  elseif found[3] then
    for _, key in ipairs({ run, run .. ':events' }) do
      if redis.call('PTTL', key) < ${ENDED} then redis.call('PEXPIRE', key, ${ENDED}) end
    end
  end
  runs[#runs + 1] = found
end
return { whole(now), runs }
`)

/** Returns events of a run. ARGV: the id of the run, the number of the event before, the greatest number of events, the number of bytes after which the page ends. */
export const READ_RUN = new Script(`${COMMON}
local events, after, limit, most = hashOf(ARGV[1]) .. ':events', tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local texts, bytes, count = {}, 0, 2
while #texts < limit and bytes < most do
  count = math.min(2 * count, 32, limit - #texts)
  local found = redis.call('XRANGE', events, whole(after + #texts + 1) .. '-0', '+', 'COUNT', count)
  for _, entry in ipairs(found) do
    texts[#texts + 1] = entry[2][2]
    bytes = bytes + #entry[2][2]
  end
  if #found < count then break end
end
return texts
`)

/** Returns for how long no process but the producer has read a run, ms. ARGV: the id of the run. */
export const IDLE = new Script(`${COMMON}
local read = redis.call('HGET', hashOf(ARGV[1]), 'read')
return read and math.max(0, now - read) or 0
`)
