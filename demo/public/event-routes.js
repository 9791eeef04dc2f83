const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'query']

/** The routes of an OpenAPI 3.2 document that answer with an event stream, in its order. */
export function eventRoutes (document) {
  const reader = new Reader(document)
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).flatMap((method) => reader.route(path, method, reader.resolve(item)) ?? []))
}

/** Reads one document, whose references it follows. */
export class Reader {
  #document

  constructor (document) {
    this.#document = document
  }

  /** What an object stands for: what it refers to, if it is a reference, with what stands beside that. */
  resolve (object) {
    const seen = new Set()
    while (typeof object?.$ref === 'string' && !seen.has(object.$ref)) {
      seen.add(object.$ref)
      const { $ref, ...beside } = object
      object = { ...this.#at($ref), ...beside }
    }
    return typeof object === 'object' && object !== null ? object : {}
  }

  route (path, method, item) {
    const operation = item[method]
    const responses = Object.entries(operation.responses ?? {}).map(([status, response]) => ({ status, ...this.resolve(response) }))
    const stream = responses.find(({ content }) => content?.['text/event-stream'])
    if (!stream) return
    const body = this.resolve(operation.requestBody).content?.['application/json']
    return {
      reader: this,
      path,
      method: method.toUpperCase(),
      id: `${method}-${path}`.replace(/\W+/g, '-').replace(/-$/, ''),
      tag: operation.tags?.[0] ?? 'others',
      summary: operation.summary ?? path,
      description: operation.description ?? '',
      signedIn: (operation.security ?? this.#document.security ?? []).some((requirement) => Object.keys(requirement).length > 0),
      parameters: [...item.parameters ?? [], ...operation.parameters ?? []].map((parameter) => this.#parameter(parameter))
        .sort((one, other) => Number(other.required) - Number(one.required)),
      body: body && this.resolve(body.schema),
      events: this.#events(stream.content['text/event-stream'].itemSchema),
      refusals: responses.filter(({ status }) => status >= 400)
    }
  }

  #parameter (parameter) {
    const { name, in: place, required = false, description, schema, example, examples = {} } = this.resolve(parameter)
    const { description: ofSchema = '', examples: inSchema = [], ...type } = this.resolve(schema)
    const named = Object.values(examples).map((one) => this.resolve(one).value)
    return { name, place, required, description: description ?? ofSchema, examples: example === undefined ? [...named, ...inSchema] : [example], schema: type }
  }

  /** What an item schema allows: one event for each of its alternatives and names. */
  #events (schema) {
    const { oneOf, anyOf, properties = {}, required = [] } = this.resolve(schema)
    const alternatives = oneOf ?? anyOf
    if (alternatives) return alternatives.flatMap((alternative) => this.#events(alternative))
    const { const: only, enum: names = only === undefined ? [null] : [only] } = this.resolve(properties.event)
    const data = this.resolve(properties.data)
    const json = data.contentSchema !== undefined
    return names.map((name) => ({ name, unnamed: !required.includes('event'), json, data: json ? data.contentSchema : data }))
  }

  #at (pointer) {
    const keys = decodeURIComponent(pointer.replace(/^#\/?/, '')).split('/').filter(Boolean).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    return keys.reduce((value, key) => value?.[key], this.#document)
  }
}
