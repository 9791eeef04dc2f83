/** A page of the demo: its parts are in `demo/pages/<name>.html`, its script is `demo/public/<name>.js`. */
export interface Page {
  name: string
  /** Where it is served. */
  path: string
  /** In the navigation, and as its heading where it has none of its own. */
  title: string
  heading?: string
  /** HTML that stands beneath the heading. */
  lead: string
  /** The plugins that feed it: files of this folder's parent, without `.ts`. */
  files: string[]
  /** Whether their code is shown at first. */
  open?: boolean
  /** For text rather than charts. */
  narrow?: boolean
  /** Title that several pages share. The navigation links the first of them, and each has tabs that link them all. */
  group?: string
  /** Shows the HTML of the page as code. */
  showHTML?: boolean
}

const notifications: Page = {
  name: 'notifications',
  path: '/notifications.html',
  title: 'Notifications',
  lead: 'What is sent to one user reaches every tab where that user is signed in, and nobody else. Sign out everywhere, and all these tabs are signed out.',
  files: ['notifications', 'session'],
  narrow: true
}

const chat: Page = {
  name: 'chat',
  path: '/chat.html',
  title: 'Chat',
  lead: 'The answer is one POST whose response is an event stream. It goes on without its reader: reload the page, or open it twice. Stop it in any tab, and the server stops the model.',
  files: ['chat'],
  narrow: true
}

const jobs: Page = {
  name: 'jobs',
  path: '/jobs.html',
  title: 'Jobs',
  lead: 'A request starts an import, and nobody has to watch it. Every page that opens meanwhile shows its progress from the beginning, and can stop it.',
  files: ['jobs'],
  narrow: true
}

const pageLibrary: Pick<Page, 'group' | 'files' | 'open' | 'narrow' | 'showHTML'> = { group: 'Page libraries', files: ['page-libraries'], narrow: true, showHTML: true }

const pageLibraries: Page[] = [
  {
    ...pageLibrary,
    name: 'htmx-2',
    path: '/htmx-2.html',
    title: 'htmx 2',
    lead: 'The extension <code>htmx-ext-sse</code> reads the stream with an <code>EventSource</code>, and puts the HTML of each event into the page.'
  },
  {
    ...pageLibrary,
    name: 'htmx-4',
    path: '/htmx-4.html',
    title: 'htmx 4',
    lead: 'The extension <code>hx-sse</code> of htmx 4 reads the same route as htmx 2, with <code>fetch</code>.'
  },
  {
    ...pageLibrary,
    name: 'datastar',
    path: '/datastar.html',
    title: 'Datastar',
    lead: 'The event names what Datastar does with the data: it merges the fragment with the element of the same id.'
  },
  {
    ...pageLibrary,
    name: 'turbo',
    path: '/turbo.html',
    title: 'Turbo',
    lead: 'Each event is a <code>&lt;turbo-stream&gt;</code>, which names the element that it replaces.'
  }
]

/** The pages of `npm start`, in the order of the navigation. */
export const pages: Page[] = [
  {
    name: 'index',
    path: '/',
    title: 'fastify-sse-routes',
    heading: 'Live data from routes of ten lines',
    lead: 'Every page here is fed by server-sent events from one Fastify server. A route says what it sends and how often; the plugin does the rest.',
    files: ['time'],
    open: true
  },
  {
    name: 'dashboard',
    path: '/dashboard.html',
    title: 'Dashboard',
    lead: 'This very process and the host it runs on, over the last two minutes. Measured at <time id="measured">--:--:--</time>.',
    files: ['dashboard']
  },
  {
    name: 'logs',
    path: '/logs.html',
    title: 'Logs',
    lead: 'What this server logs, as it is written to the file, also after that was rotated or truncated.',
    files: ['logs']
  },
  {
    name: 'stocks',
    path: '/stocks.html',
    title: 'Stocks',
    lead: 'Invented companies on a simulated market. One computation a second serves all who watch, and all tabs of a browser share one connection for the prices.',
    files: ['ticker', 'trades']
  },
  {
    name: 'react',
    path: '/react.html',
    title: 'React',
    lead: 'A component with the hook <code>useSSE</code> for each company. Its stream opens when the component is mounted, and closes when it is removed.',
    files: ['stocks'],
    narrow: true
  },
  ...pageLibraries,
  chat,
  jobs,
  {
    name: 'room',
    path: '/room.html',
    title: 'Room',
    lead: 'What is said here reaches everyone in the room. Reload, or lose the connection, and what you missed comes.',
    files: ['room'],
    narrow: true
  },
  notifications,
  {
    name: 'events',
    path: '/events.html',
    title: 'Events',
    heading: 'The events of each stream',
    lead: 'Read from the OpenAPI document that the routes make of themselves.',
    files: ['documents']
  }
]

/** The pages of `demo/cluster.ts`. */
export const clusterPages: Page[] = [
  {
    name: 'cluster',
    path: '/',
    title: 'fastify-sse-routes',
    heading: 'Cluster',
    lead: 'Any process publishes, and any delivers: all have the same events in the same order. This page is connected to <b id="here">none yet</b>. End that with <code id="kill">kill -9</code>, and another goes on with what was missed.',
    files: ['processes'],
    narrow: true
  },
  chat,
  jobs,
  notifications
]
