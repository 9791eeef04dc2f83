// Tested by test/client/react.test.ts
/**
 * The client as a hook of React.
 *
 * @module fastify-sse-routes/react
 */
'use client'
import { useCallback, useEffect, useRef, useState } from 'react'
import { sse, type SSEClientOptionsFor, type SSEEvent, type SSEEvents, type WithGap } from './index.js'

/**
 * The state of the connection of `useSSE`.
 * `idle`: there is no URL, or the component is rendered on a server. `connecting`: before the first response. `open`: events can arrive.
 * `reconnecting`: waits before the next attempt. `closed`: the server has ended the events, or `close` was called. `failed`: the client gave up.
 */
export type SSEStatus = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed' | 'failed'

/** The options of `useSSE`: those of `sse`, and two of the hook. */
export type UseSSEOptions<Events> = SSEClientOptionsFor<Events> & {
  /** Number of the newest events in `events`. Default 0. */
  keep?: number
  /** Called for each event. The client awaits the result before the next event. If it throws, the status is `failed`. */
  onEvent?: (event: SSEEvent<WithGap<Events>>) => unknown
}

/** The last arguments of `useSSE`. The options are required if the data of some events is text. */
export type UseSSEArguments<Events> = {} extends SSEClientOptionsFor<Events> ? [options?: UseSSEOptions<Events>] : [options: UseSSEOptions<Events>]

/** The result of `useSSE`: the newest state of the connection and its events. */
export interface UseSSE<Events> {
  readonly status: SSEStatus
  /** The newest event; undefined before the first one. A render has only the newest of the events that arrived since the last render; `onEvent` and `events` have all. */
  readonly event: SSEEvent<Events> | undefined
  /** The data of the newest event; undefined before the first one. */
  readonly data: SSEEvent<Events>['data'] | undefined
  /** The newest events, the oldest first: as many as the option `keep` says. */
  readonly events: ReadonlyArray<SSEEvent<Events>>
  /** Undefined, or the error after which the client reconnects or gave up: an SSEError, or an error that a function in the options threw. */
  readonly error: unknown
  /** The id of the last event; null if there is none. */
  readonly lastEventId: string | null
  /** Disconnects, until the URL or an option changes. The same function in each render. */
  readonly close: () => void
}

/** A map of events of any names. */
type AnyEvents = Record<string, unknown>
type Options = UseSSEOptions<AnyEvents>
type State = Omit<UseSSE<AnyEvents>, 'close'>

const IDLE: State = { status: 'idle', event: undefined, data: undefined, events: [], error: undefined, lastEventId: null }

/**
 * Reads the events of a server while a component is mounted, and renders the component when the state changes.
 *
 * The hook connects after the component has been mounted: never on a server, and once in StrictMode. After a change of the URL, it
 * connects without the data and the id of the former URL. After a change of the other options, it reconnects and resumes with the id
 * of the last event. Options are compared as JSON, with the entries of a `Headers`. Two functions count as equal, and those of the
 * newest render are called. The hook does not throw: each error is the state `error`.
 *
 * @param url null or undefined: no connection
 */
export function useSSE<Events extends object = AnyEvents> (url: string | URL | null | undefined, ...options: UseSSEArguments<NoInfer<Events>>): UseSSE<WithGap<Events>>
export function useSSE (url: string | URL | null | undefined, options: Options = {}): UseSSE<AnyEvents> {
  const [state, setState] = useState(IDLE)
  const target = url == null ? null : String(url)
  const { keep, onEvent, ...compared } = options
  const newest = useRef(options)
  const disconnect = useRef(() => {})
  const resume = useRef<{ target: string | null, lastEventId: string | null } | undefined>(undefined)

  // before the effect that connects, which reads the options of the same render
  useEffect(() => { newest.current = options })
  useEffect(() => {
    let events: SSEEvents<AnyEvents> | undefined
    let over = false
    const update = (change: (state: State) => Partial<State>) => { if (!over) setState((state) => ({ ...state, ...change(state) })) }
    const last = resume.current?.target === target ? resume.current : undefined
    update((state) => ({ ...(last ? state : IDLE), status: target === null ? 'idle' : 'connecting', error: undefined }))

    const read = async (url: string) => {
      // StrictMode has unmounted the component by then
      await null
      if (over) return
      try {
        const given = callNewest(newest)
        events = sse<AnyEvents>(url, {
          ...given,
          ...(last && { lastEventId: last.lastEventId }),
          onOpen (open) {
            update(() => ({ status: 'open', error: undefined }))
            return given.onOpen?.(open)
          },
          onRetry (retry) {
            update(() => ({ status: 'reconnecting', error: retry.error }))
            return given.onRetry?.(retry)
          },
          onShare (share) {
            // another tab has the connection, and calls its own `onOpen`
            if (!share.holds) update(() => ({ status: 'open', error: undefined }))
            return given.onShare?.(share)
          }
        })
        for await (const event of events) {
          const { lastEventId } = events
          const { keep = 0 } = newest.current
          update(({ events }) => ({ status: 'open', event, data: event.data, events: keep > 0 ? [...events, event].slice(-keep) : IDLE.events, lastEventId }))
          await newest.current.onEvent?.(event)
        }
        update(() => ({ status: 'closed' }))
      } catch (error) {
        update(() => ({ status: 'failed', error }))
      }
    }
    const end = () => {
      over = true
      if (events === undefined) return
      resume.current = { target, lastEventId: events.lastEventId }
      events.return?.()
    }
    disconnect.current = () => {
      update(() => ({ status: 'closed' }))
      end()
    }
    if (target !== null) read(target)
    return end
  }, [target, JSON.stringify(compared, (_name, value) => typeof value === 'function' ? 'function' : value instanceof Headers ? [...value] : value)])

  return { ...state, close: useCallback(() => disconnect.current(), []) }
}

/** Returns the newest options. Each function in them calls the one of the newest options at the time of the call. */
function callNewest (newest: { readonly current: Options }): Options {
  const options = { ...newest.current }
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === 'function') Reflect.set(options, name, (...args: unknown[]) => Reflect.get(newest.current, name)?.(...args))
  }
  return options
}
