// Tested by test/redis/entry.test.ts
import { createHash } from 'node:crypto'
import type { Connection } from './connection.js'

/** A Lua script that Redis runs in one atomic step. */
export class Script {
  readonly text: string
  readonly #sha: string

  constructor (text: string) {
    this.text = text
    this.#sha = createHash('sha1').update(text).digest('hex')
  }

  /**
   * The command with which Redis stores the script. If it is the first on a connection, later calls of `run` take effect in their order.
   * Without it, Redis refuses the first calls, and a call whose text is sent again follows calls that were made after it.
   */
  get load (): readonly string[] {
    return ['SCRIPT', 'LOAD', this.text]
  }

  /** Runs the script. Sends its text only if Redis does not know the script. */
  async run (connection: Connection, keys: string[], args: string[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await connection.send('EVALSHA', this.#sha, ...rest)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return connection.send('EVAL', this.text, ...rest)
    }
  }
}

/*
 * The hash with the marks has the fields
 * - `last`: id of the newest entry that a script has appended to the log;
 * - `begin`: id of the newest loss marker: events with an older id may be lost;
 * - the key of each stream: `<id of the newest event that the stream no longer has> <id of its newest event> <maxAge>`;
 * - `maxLength`, `size` and `maxAge`: the limits of the process that opened the log last, for publishers without limits;
 * - `floor:topic` and `floor:client`: the newest event of the streams whose marks were removed, because they had expired and were too many.
 *
 * The sorted set `expiring` has the keys of the streams that expire, with the time at which they do.
 */
const COMMON = `
local function newer (a, b)
  local am, an = string.match(a, '^(%d+)-(%d+)$')
  local bm, bn = string.match(b, '^(%d+)-(%d+)$')
  if #am ~= #bm then return #am > #bm end
  if am ~= bm then return am > bm end
  if #an ~= #bn then return #an > #bn end
  return an > bn
end
local function following (id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return ms .. '-' .. string.format('%.0f', n + 1)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Returns the id of the newest entry of a stream that is older than a time, nil for none. It reads the first entry before, because XREVRANGE
-- walks through the whole stream if no entry is so old: https://github.com/redis/redis/blob/7.0/src/t_stream.c, streamIteratorStart
local function olderThan (key, cut)
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  if not first or tonumber(string.match(first[1], '^%d+')) >= cut then return nil end
  return redis.call('XREVRANGE', key, '(' .. string.format('%.0f', cut) .. '-0', '-', 'COUNT', 1)[1][1]
end
local function begins (log, marks)
  local id = redis.call('XADD', log, '*', 'v', '1', 'lost', 'before')
  redis.call('HSET', marks, 'begin', id, 'last', id)
  return id
end
`

/** Returns the newest id that a stream no longer has: by its mark, by its age, or because it has expired. */
const DROPPED = `
local function dropped (marks, key, begin)
  local value = redis.call('HGET', marks, key)
  local id
  if not value then
    id = redis.call('HGET', marks, 'floor:' .. string.match(key, '}:(%a+)')) or begin
  else
    local mark, last, age = string.match(value, '^(%S+) (%S+) (%S+)$')
    id = mark
    if redis.call('EXISTS', key) == 0 then
      id = last
    elseif tonumber(age) > 0 then
      id = olderThan(key, now - age) or mark
    end
  end
  return id
end
`

/**
 * Appends an entry to the log, and to the stream of each of its topics, of its client id or of the broadcasts.
 *
 * KEYS: the log, the marks, the expiring streams, then the streams. ARGV: the greatest length of the log, then for each stream its size
 * and its maxAge (each may be empty: the value of the processes), then names and values of the fields. Returns the id.
 */
export const APPEND = new Script(`${COMMON}
local log, marks, expiring, streams = KEYS[1], KEYS[2], KEYS[3], #KEYS - 3
local fields = { unpack(ARGV, 2 + 2 * streams) }
-- reads all keys first: with a key of another type the script fails before it has written anything
redis.call('ZCARD', expiring)
local function limit (arg, name, default)
  return tonumber(arg) or tonumber(redis.call('HGET', marks, name) or default)
end
for i = 1, streams do redis.call('XLEN', KEYS[3 + i]) end
local before = redis.call('HGET', marks, 'last')
local id = '*'
if not before then
  before = begins(log, marks)
elseif redis.call('EXISTS', log) == 0 and tonumber(string.match(before, '^%d+')) >= now then
  id = following(before)
end
id = redis.call('XADD', log, 'MAXLEN', '~', limit(ARGV[1], 'maxLength', 1000), id, 'v', '1', 'after', before, unpack(fields))
redis.call('HSET', marks, 'last', id)
local begin = redis.call('HGET', marks, 'begin')
for i = 1, streams do
  local key, size, age = KEYS[3 + i], limit(ARGV[2 * i], 'size', 1000), limit(ARGV[2 * i + 1], 'maxAge', 3600000)
  local value = redis.call('HGET', marks, key)
  local mark
  if not value then
    mark = redis.call('HGET', marks, 'floor:' .. string.match(key, '}:(%a+)')) or begin
  else
    local kept, last = string.match(value, '^(%S+) (%S+)')
    mark = redis.call('EXISTS', key) == 1 and kept or last
  end
  if size > 0 then
    redis.call('XADD', key, id, 'v', '1', unpack(fields))
    local over = redis.call('XLEN', key) - size
    if over > 0 then
      local old = redis.call('XRANGE', key, '-', '+', 'COUNT', over)
      mark = old[#old][1]
      redis.call('XTRIM', key, 'MAXLEN', size)
    end
    if age > 0 then
      local old = olderThan(key, now - age)
      if old then
        mark = old
        redis.call('XTRIM', key, 'MINID', string.format('%.0f', now - age))
      end
      redis.call('PEXPIRE', key, age)
    else
      redis.call('PERSIST', key)
    end
  else
    mark = id
    redis.call('DEL', key)
  end
  redis.call('HSET', marks, key, mark .. ' ' .. id .. ' ' .. string.format('%.0f', age))
  if size == 0 or age > 0 then
    redis.call('ZADD', expiring, now + age, key)
  else
    redis.call('ZREM', expiring, key)
  end
end
if redis.call('ZCARD', expiring) > 10000 then
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', now - 1, 'LIMIT', 0, 10 + streams)) do
    local _, last = string.match(redis.call('HGET', marks, key) or '0-0 0-0', '^(%S+) (%S+)')
    local floor = 'floor:' .. string.match(key, '}:(%a+)')
    if newer(last, redis.call('HGET', marks, floor) or begin) then redis.call('HSET', marks, floor, last) end
    redis.call('HDEL', marks, key)
    redis.call('ZREM', expiring, key)
  end
end
return id
`)

/**
 * Returns the id of the newest entry of the log, and of the newest entry that a script has appended. Appends a loss marker to a new log.
 * KEYS: the log, the marks. ARGV: `maxLength`, `size` and `maxAge` for publishers without limits.
 */
export const OPEN = new Script(`${COMMON}
redis.call('HSET', KEYS[2], 'maxLength', ARGV[1], 'size', ARGV[2], 'maxAge', ARGV[3])
local last = redis.call('HGET', KEYS[2], 'last') or begins(KEYS[1], KEYS[2])
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return { newest and newer(newest[1], last) and newest[1] or last, last }
`)

/** Returns the id of the oldest event in the log, `''` for none. KEYS: the log. */
export const OLDEST = new Script(`
local from = '-'
while true do
  local entries = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 10)
  if #entries == 0 then return '' end
  for _, entry in ipairs(entries) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'text' then return entry[1] end
    end
  end
  from = '(' .. entries[#entries][1]
end
`)

/**
 * Appends a loss marker, an entry that says that events before it may be lost. Does nothing if the log has a newer marker than `seen`.
 * The id of the marker is newer than all ids of the log and than `seen`.
 * KEYS: the log, the marks. ARGV: `seen`, the id of the newest entry that the process has read.
 */
export const MARK_LOSS = new Script(`${COMMON}
local log, marks, seen = KEYS[1], KEYS[2], ARGV[1]
local begin = redis.call('HGET', marks, 'begin')
if begin and newer(begin, seen) then return begin end
local base = redis.call('HGET', marks, 'last') or seen
if newer(seen, base) then base = seen end
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if newest and newer(newest[1], base) then base = newest[1] end
-- by the clock, so that the marker is newer than the lost entries that another process has appended and no process has read
local next = tonumber(string.match(base, '^%d+')) < now and string.format('%.0f-0', now) or following(base)
local id = redis.pcall('XADD', log, next, 'v', '1', 'lost', 'before')
-- the newest entries of the log were deleted, which were newer
if type(id) == 'table' then id = redis.call('XADD', log, '*', 'v', '1', 'lost', 'before') end
redis.call('HSET', marks, 'begin', id, 'last', id)
return id
`)

/**
 * Reads the next events of several streams, in the order of their ids, each once.
 *
 * KEYS: the log, the marks, then the streams. ARGV: `after`, the id up to which the reader has everything; `upto`, the id of the newest
 * event to read; the greatest number of events, and of bytes, after which the page ends; then for each stream the id after which it is read.
 * Returns the newest id that a stream no longer has and the reader does not have (`''` for none), the id up to which the events were
 * read, the oldest id of the streams if events are missing, and the entries. Returns only `after` if it is newer than `upto` and in the log.
 */
export const READ = new Script(`${COMMON}${DROPPED}
local log, marks, after, upto, limit, most = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local last = redis.call('HGET', marks, 'last') or '0-0'
local unknown = false
if newer(after, upto) then
  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if not newer(after, last) or newest and not newer(after, newest[1]) then return { after } end
  unknown = true
end
local begin = redis.call('HGET', marks, 'begin') or upto
local lost, oldest, cursors = '', '', {}
local function lose (id, from)
  if newer(id, upto) then id = upto end
  if newer(id, from) and (lost == '' or newer(id, lost)) then lost = id end
end
for i = 3, #KEYS do
  local from = unknown and '0-0' or ARGV[2 + i]
  local mark = dropped(marks, KEYS[i], begin)
  lose(begin, from)
  lose(mark, from)
  cursors[#cursors + 1] = { key = KEYS[i], mark = mark, from = newer(mark, from) and mark or from, count = 2, at = 1, items = {} }
end
local function item (cursor)
  local found = cursor.items[cursor.at]
  if found or cursor.over then return found end
  cursor.items = redis.call('XRANGE', cursor.key, '(' .. cursor.from, upto, 'COUNT', cursor.count)
  cursor.over = #cursor.items < cursor.count
  cursor.count = math.min(32, 2 * cursor.count)
  cursor.at = 1
  found = cursor.items[1]
  if found then cursor.from = cursor.items[#cursor.items][1] end
  return found
end
if lost ~= '' then
  for _, cursor in ipairs(cursors) do
    local first = redis.call('XRANGE', cursor.key, '(' .. cursor.mark, upto, 'COUNT', 1)[1]
    if first and (oldest == '' or newer(oldest, first[1])) then oldest = first[1] end
  end
end
local entries, bytes = {}, 0
while #entries < limit and bytes < most do
  local next
  for _, cursor in ipairs(cursors) do
    local found = item(cursor)
    if found and (not next or newer(next[1], found[1])) then next = found end
  end
  if not next then return { lost, upto, oldest, entries } end
  for _, cursor in ipairs(cursors) do
    local found = cursor.items[cursor.at]
    if found and found[1] == next[1] then cursor.at = cursor.at + 1 end
  end
  for _, text in ipairs(next[2]) do bytes = bytes + #text end
  entries[#entries + 1] = next
end
return { lost, entries[#entries][1], oldest, entries }
`)

/**
 * Returns for each stream the id after which its newest `count` events follow.
 * KEYS: the marks, then the streams. ARGV: the id of the newest event that counts; `count`, 0 for all.
 */
export const REWIND = new Script(`${COMMON}${DROPPED}
local marks, upto, count, ids = KEYS[1], ARGV[1], tonumber(ARGV[2]), {}
local begin = redis.call('HGET', marks, 'begin') or upto
for i = 2, #KEYS do
  local id = dropped(marks, KEYS[i], begin)
  if newer(begin, id) then id = begin end
  if count > 0 and redis.call('XLEN', KEYS[i]) > count then
    local found = redis.call('XREVRANGE', KEYS[i], upto, '(' .. id, 'COUNT', count + 1)[count + 1]
    if found then id = found[1] end
  end
  ids[i - 1] = id
end
return ids
`)
