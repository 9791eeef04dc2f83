import { sse } from 'fastify-sse-routes/client'

/** Comes before every event: asks for all that the server still has. */
export const START = '0-0'

/** The worst of its streams is what the badge tells. */
const WORST_FIRST = ['closed', 'waiting', 'connecting', 'gap', 'resumed', 'live']
const TEXTS = { closed: 'closed', waiting: 'reconnecting', connecting: 'connecting', gap: 'resumed with a gap', resumed: 'resumed', live: 'live' }
/** How long the badge tells of what is over, ms. */
const TOLD = { resumed: 4_000, gap: 10_000 }

const badge = document.querySelector('#connection')
const [status, countdown] = badge.children
const streams = new Set()
let ticking

/**
 * The events of a stream, for as long as the page reads it; the badge tells how it is doing.
 * Ends without an error where `signal` is aborted. A gap is an event like the others, but for that before the first event.
 * `brief` is for one of several streams that follow each other: the badge shows neither its first connect nor its end.
 */
export async function * follow (url, { brief = false, ...options } = {}) {
  const stream = { state: brief && badge.dataset.state === 'live' ? 'live' : 'connecting', until: 0 }
  const turn = (state, until = 0) => {
    Object.assign(stream, { state, until })
    show()
  }
  let opened = false
  streams.add(stream)
  options.signal?.addEventListener('abort', () => {
    streams.delete(stream)
    show()
  })
  show()
  try {
    const events = sse(url, {
      retry: { delay: 500, maxDelay: 3_000 },
      ...options,
      onOpen () {
        turn(opened ? 'resumed' : 'live', Date.now() + TOLD.resumed)
        opened = true
      },
      onShare (share) {
        // the tab that holds the connection has opened it
        if (!share.holds) turn('live')
        options.onShare?.(share)
      },
      onRetry: ({ delay }) => turn('waiting', Date.now() + delay)
    })
    for await (const event of events) {
      if (event.event === 'gap') {
        if (event.data.lastEventId === START) continue
        turn('gap', Date.now() + TOLD.gap)
      }
      yield event
    }
    if (!brief) turn('closed')
  } catch (error) {
    if (options.signal?.aborted) return
    turn('closed')
    throw error
  } finally {
    if (stream.state !== 'closed') streams.delete(stream)
    show()
  }
}

/** For pages that can tell by the data itself that some is missing. */
export function tellGap () {
  for (const stream of streams) {
    if (stream.state === 'live' || stream.state === 'resumed') Object.assign(stream, { state: 'gap', until: Date.now() + TOLD.gap })
  }
  show()
}

/** What the badge tells while the page follows no stream. */
export function tellIdle (text) {
  streams.clear()
  clearInterval(ticking)
  tell('idle', text)
}

function show () {
  const now = Date.now()
  for (const stream of streams) {
    if (stream.state in TOLD && stream.until <= now) stream.state = 'live'
    if (stream.state === 'waiting' && stream.until <= now) stream.state = 'connecting'
  }
  const state = WORST_FIRST.find((state) => [...streams].some((stream) => stream.state === state))
  if (state === undefined) return
  const waiting = [...streams].filter((stream) => stream.state === 'waiting').map(({ until }) => until)
  tell(state, TEXTS[state], state === 'waiting' ? `in ${Math.ceil((Math.min(...waiting) - now) / 1_000)} s` : '')
  clearInterval(ticking)
  if (state !== 'live' && state !== 'closed') ticking = setInterval(show, 200)
}

/** Only what has changed is touched, as it is read out. */
function tell (state, text, time = '') {
  badge.dataset.state = state
  if (status.textContent !== text) status.textContent = text
  if (countdown.textContent !== time) countdown.textContent = time
}
