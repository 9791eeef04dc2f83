import { element, prose } from './element.js'
import { eventRoutes } from './event-routes.js'
import { curlLine, exampleValues } from './request-line.js'
import { schemaTree } from './schema-tree.js'
import { tryStream } from './try-stream.js'

const [contents, list, problem, badge] = ['contents', 'routes', 'problem', 'connection'].map((id) => document.querySelector(`#${id}`))

function tell (state, url = '') {
  if (!badge) return
  badge.dataset.state = state
  badge.firstElementChild.textContent = { idle: 'no stream open', connecting: `connecting to ${url}`, live: `reading ${url}`, closed: `${url} failed` }[state]
}

function article (route) {
  const { id, method, path, summary, description, signedIn, parameters, body, events, refusals, reader } = route
  return element('article', { id, className: 'panel route' },
    element('h3', {}, element('a', { href: `#${id}` }, element('span', { className: 'method' }, method), ' ', element('code', {}, path))),
    element('p', {}, element('b', {}, summary), description && '. ', ...prose(description)),
    signedIn && element('p', { className: 'note' }, 'For those who have signed in.'),
    ...part('Parameters', parameters.map((parameter) => parameterRow(parameter, reader))),
    ...part('Body, JSON', body ? [schemaTree(body, reader)] : []),
    ...part('Events', events.map((event) => eventRow(event, reader))),
    ...part('Refusals', refusals.map(({ status, description }) => element('p', { className: 'refusal' }, element('code', {}, status), ' ', ...prose(description)))),
    element('h4', {}, 'Read it'),
    element('pre', { className: 'curl', role: 'region', tabIndex: 0, ariaLabel: `How to read ${path} in a terminal` }, curlLine(route, exampleValues(route), document.location.origin)),
    ...(method === 'GET' ? tryStream(route, tell) : [])
  )
}

function part (title, rows) {
  return rows.length > 0 ? [element('h4', {}, title), ...rows] : []
}

function parameterRow ({ name, place, required, description, examples, schema }, reader) {
  return element('div', { className: 'schema row' },
    element('code', {}, name), ' ',
    element('span', { className: 'limits' }, `${place}${required ? '' : ', optional'}`), ' ',
    schemaTree({ ...schema, description, examples }, reader))
}

function eventRow ({ name, unnamed, json, data }, reader) {
  return element('section', { className: 'event' },
    element('h5', {},
      element('code', {}, name ?? 'any name'),
      ' ',
      unnamed && element('span', { className: 'limits' }, name === 'message' ? 'sent without a name' : 'or none'),
      ' ',
      element('span', { className: 'kind' }, json ? 'JSON' : 'text')),
    schemaTree(data, reader))
}

const response = await fetch('/openapi/3.2.json').catch(() => null)
if (response?.ok) {
  const tags = Map.groupBy(eventRoutes(await response.json()), ({ tag }) => tag)
  for (const [tag, routes] of tags) {
    contents.append(element('h2', {}, tag), element('ul', {}, ...routes.map(({ id, method, path }) =>
      element('li', {}, element('a', { href: `#${id}` }, element('span', { className: 'method' }, method), ' ', path)))))
    list.append(element('section', {}, element('h2', {}, tag), ...routes.map(article)))
  }
  tell('idle')
  // the browser has looked for it before it was there
  document.getElementById(document.location.hash.slice(1))?.scrollIntoView()
} else {
  problem.textContent = 'The document cannot be read: the server does not answer.'
  tell('closed', '/openapi/3.2.json')
}
