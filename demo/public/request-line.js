/** The URL of a route with these parameters, by name; what is not given of a path stays a placeholder. */
export function urlOf ({ path, parameters }, values) {
  const query = new URLSearchParams()
  for (const { name, place } of parameters) if (place === 'query' && values[name]) query.set(name, values[name])
  const filled = path.replace(/\{(\w+)\}/g, (_whole, name) => values[name] ? encodeURIComponent(values[name]) : `<${name}>`)
  return query.size > 0 ? `${filled}?${query}` : filled
}

/** A value for each parameter that needs one and has an example. */
export function exampleValues ({ parameters }) {
  return Object.fromEntries(parameters.filter(({ required, examples }) => required && examples.length > 0).map(({ name, examples }) => [name, String(examples[0])]))
}

/** What reads the stream in a terminal. */
export function curlLine (route, values, origin) {
  const parts = ['curl -N']
  if (route.method !== 'GET') parts.push(`-X ${route.method}`)
  if (route.signedIn) parts.push("-b 'session=…'")
  if (route.body) parts.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(sample(route.body, route.reader)))}`)
  return [...parts, quoted(origin + urlOf(route, values))].join(' ')
}

function quoted (text) {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** Some value that a schema allows: its example, if there is one. */
function sample (schema, reader) {
  const { type, const: only, enum: values = [], examples = [], example = examples[0], default: usual, oneOf, anyOf, properties = {}, required = [], items, minimum = 0 } = reader.resolve(schema)
  const known = [example, only, usual, values[0]].find((value) => value !== undefined)
  if (known !== undefined) return known
  const [either] = oneOf ?? anyOf ?? []
  if (either) return sample(either, reader)
  switch ([type].flat()[0]) {
    case 'object': return Object.fromEntries(required.map((name) => [name, sample(properties[name], reader)]))
    case 'array': return items ? [sample(items, reader)] : []
    case 'number': case 'integer': return minimum
    case 'boolean': return true
    case 'null': return null
    default: return 'Hello'
  }
}
