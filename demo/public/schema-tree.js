import { element, prose } from './element.js'

/** A schema as a tree: its type, what it says of itself, and what is in it. */
export function schemaTree (schema, reader) {
  return element('div', { className: 'schema' }, ...describe(schema, reader, new Set()))
}

/** In one line: `string`, `number | null`, `array of object`. */
export function typeOf (schema, reader, depth = 0) {
  if (depth > 3) return '…'
  const { type, const: only, enum: values, items, format, oneOf, anyOf, allOf, properties } = reader.resolve(schema)
  if (only !== undefined) return JSON.stringify(only)
  if (values) return values.map((value) => JSON.stringify(value)).join(' | ')
  if (oneOf || anyOf) return (oneOf ?? anyOf).map((one) => typeOf(one, reader, depth + 1)).join(' | ')
  if (type === 'array') return items ? `array of ${typeOf(items, reader, depth + 1)}` : 'array'
  if (type === undefined) return properties || allOf ? 'object' : 'any'
  return [type].flat().join(' | ') + (format ? ` (${format})` : '')
}

const LIMITS = {
  minimum: (value) => `≥ ${value}`,
  exclusiveMinimum: (value) => `> ${value}`,
  maximum: (value) => `≤ ${value}`,
  exclusiveMaximum: (value) => `< ${value}`,
  multipleOf: (value) => `a multiple of ${value}`,
  minLength: (value) => `at least ${characters(value)}`,
  maxLength: (value) => `at most ${characters(value)}`,
  pattern: (value) => `matches ${value}`,
  minItems: (value) => `at least ${value} of them`,
  maxItems: (value) => `at most ${value} of them`,
  default: (value) => `${JSON.stringify(value)} by default`
}

function characters (count) {
  return count === 1 ? 'one character' : `${count} characters`
}

/** @param {string[]} remarks what is to be said of it besides */
function describe (schema, reader, within, ...remarks) {
  const line = [element('span', { className: 'type' }, typeOf(schema, reader)), ...remarks.map(remark), ...notes(reader.resolve(schema))]
  return [...line.flatMap((part) => [' ', part]), ...inside(schema, reader, within)]
}

function remark (text) {
  return element('span', { className: 'limits' }, text)
}

function notes (schema) {
  const limits = Object.entries(LIMITS).filter(([keyword]) => keyword in schema).map(([keyword, text]) => text(schema[keyword]))
  const examples = schema.examples ?? ('example' in schema ? [schema.example] : [])
  return [
    limits.length > 0 && remark(limits.join(', ')),
    schema.description && element('span', { className: 'about' }, ...prose(schema.description)),
    examples.length > 0 && element('span', { className: 'limits' }, 'such as ', ...examples.flatMap((example, index) => [index > 0 && ', ', element('code', {}, JSON.stringify(example))]))
  ].filter(Boolean)
}

/** @param {Set<string>} within the references that lead here: what holds itself is shown once */
function inside (schema, reader, within) {
  if (within.has(schema.$ref)) return [element('span', { className: 'about' }, 'as above')]
  if (schema.$ref) within = new Set(within).add(schema.$ref)
  const { properties = {}, required = [], additionalProperties, items, oneOf, anyOf, allOf = [] } = reader.resolve(schema)
  const fields = Object.entries(properties).map(([name, field]) => row(name, field, reader, within, !required.includes(name)))
  if (additionalProperties) fields.push(row('any other', additionalProperties, reader, within))
  return [
    element('ul', {}, ...fields),
    items && element('div', {}, ...notes(reader.resolve(items)).flatMap((note) => [note, ' ']), ...inside(items, reader, within)),
    alternatives(oneOf ?? anyOf ?? [], reader, within),
    ...allOf.flatMap((part) => inside(part, reader, within))
  ].filter((part) => part && part.childNodes.length > 0)
}

/** Alternatives, where the type has not said all of them. */
function alternatives (schemas, reader, within) {
  const described = schemas.map((schema) => describe(schema, reader, within))
  return described.some((parts) => parts.length > 2) &&
    element('ul', {}, ...described.map((parts, index) => element('li', {}, remark(index === 0 ? 'either' : 'or'), ...parts)))
}

function row (name, schema, reader, within, optional = false) {
  return element('li', {}, element('code', {}, name), ...describe(schema, reader, within, ...(optional ? ['optional'] : [])))
}
