// Tested by test/issues/misspelt-options.test.ts
import { SSE_ERR_UNKNOWN_OPTION } from '../errors.js'

/** A call of the application that takes options: `app.register(plugin)`, `app.sseRoute` or `reply.sse()`. */
export type Place = 'register' | 'sseRoute' | 'reply.sse()'

/** The names of the options that each call takes. */
export type OptionNames = Readonly<Record<Place, readonly string[]>>

/**
 * Throws for the name of an option that is misspelt, or that another call takes. Allows other unknown names, because they may
 * belong to Fastify or to another plugin. Ignores options whose value is undefined.
 *
 * @returns the first unknown name that is allowed; undefined if there is none
 * @throws SSE_ERR_UNKNOWN_OPTION
 */
export function refuseMistakes (place: Place, options: object, taken: OptionNames): string | undefined {
  const others: string[] = []
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || taken[place].includes(name)) continue
    const correction = correct(place, name, taken)
    if (correction !== undefined) throw new SSE_ERR_UNKNOWN_OPTION(place, name, correction)
    others.push(name)
  }
  return others[0]
}

/** Returns a correction for the error message about an unknown option; undefined if the name may belong to Fastify or another plugin. */
function correct (place: Place, name: string, taken: OptionNames): string | undefined {
  // allows options of other calls at register, because @fastify/autoload passes the options of all plugins to each plugin
  const elsewhere = place === 'register' ? undefined : whereGiven(name, taken)
  if (elsewhere !== undefined) return `it ${elsewhere}`
  const meant = [...taken[place], ...taken.register].find((known) => isNear(name, known))
  if (meant === undefined) return
  const question = `did you mean "${meant}"?`
  return taken[place].includes(meant) ? question : `${question} That ${whereGiven(meant, taken)}`
}

/** Returns words for the error message: the call that takes an option. Undefined for a name that neither register nor sseRoute takes. */
function whereGiven (name: string, { register, sseRoute }: OptionNames): string | undefined {
  const [ofPlugin, ofRoute] = [register.includes(name), sseRoute.includes(name)]
  if (ofPlugin && ofRoute) return 'is an option of the plugin and of routes, given at register or at sseRoute'
  if (ofPlugin) return 'is an option of the plugin, given at register'
  if (ofRoute) return 'is an option of routes, given at sseRoute'
}

/** Returns whether two names differ only by case and at most one edit: an insertion, a deletion, a substitution or a transposition. */
function isNear (given: string, known: string): boolean {
  const [a, b] = [given.toLowerCase(), known.toLowerCase()]
  const shorter = Math.min(a.length, b.length)
  let start = 0
  while (start < shorter && a[start] === b[start]) start++
  let end = 0
  while (end < shorter - start && a.at(-1 - end) === b.at(-1 - end)) end++
  const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)]
  return (x.length <= 1 && y.length <= 1) || (x.length === 2 && y === `${x[1]}${x[0]}`)
}
