/** Something measured at a time, in ms since 1970. */
interface Point { time: number }

/**
 * The payloads of a route that sends points of time to all its clients at once, and loses none of them:
 * not while a client is away, since an event's id is the time of its newest point, and not where a tick comes late.
 * @param after the points after a time, oldest first, as far back as there are any
 */
export function series<Name extends string, P extends Point> (event: Name, after: (time: number) => P[]) {
  let told = 0
  const since = (time: number) => {
    const data = after(time)
    return { id: data.at(-1)?.time ?? time, event, data }
  }
  return {
    /** For a client that comes: what it has missed. */
    missed: (lastEventId: string | null) => since(Number(lastEventId) || 0),
    /** For all: what came since this was last called. */
    next () {
      const payload = since(told)
      told = payload.id
      return payload
    }
  }
}
