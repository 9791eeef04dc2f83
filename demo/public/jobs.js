import { follow } from './connection.js'
import { element } from './element.js'
import { post, stop } from './post.js'

const KEPT = 20
const number = new Intl.NumberFormat('en')
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const list = document.querySelector('#jobs')
const problem = document.querySelector('#problem')

/** Calls a function, and shows the reason if it fails. */
async function attempt (act) {
  problem.textContent = ''
  try {
    await act()
  } catch (error) {
    problem.textContent = error.message
  }
}

/** An import, as the list shows it. */
class Job {
  #url
  #rows = 0
  #of = 0
  #bar
  #state = element('p', { className: 'state' })
  #stop = element('button', { type: 'button', textContent: 'Stop' })
  item

  constructor ({ id, file, pid, time }) {
    this.#url = `/jobs/${id}`
    this.#bar = element('progress', { ariaLabel: `Progress of ${file}`, value: 0 })
    this.#stop.ariaLabel = `Stop ${file}`
    this.#stop.addEventListener('click', () => attempt(async () => {
      await stop(this.#url)
      this.#stop.hidden = true
    }))
    const about = element('div', { className: 'about' }, element('b', {}, file), element('span', {}, `${clock.format(time)} · process ${pid}`))
    this.item = element('li', { className: 'panel' }, about, this.#stop, this.#bar, this.#state)
    this.#turn('waiting', 'Waiting')
  }

  /** Reads the run of the job to its end: from its beginning, because the page may be new. */
  async read () {
    for await (const { event, data } of follow(this.#url, { text: ['done'], brief: true })) {
      if (event === 'progress') this.#show(data)
      else return this.#end(event === 'error' ? data.message : undefined)
    }
    this.#turn('stopped', 'The server no longer has this job')
  }

  #show ({ rows, of }) {
    this.#rows = rows
    this.#of = of
    this.#bar.max = of
    this.#bar.value = rows
    this.#turn(rows > 0 ? 'running' : 'waiting', rows > 0 ? this.#progress : 'Waiting for the import before it')
  }

  #end (failure) {
    if (failure !== undefined) this.#turn('failed', `Failed after ${this.#progress}: ${failure}`)
    else if (this.#rows === this.#of) this.#turn('done', `Done: ${this.#progress}`)
    else this.#turn('stopped', `Stopped after ${this.#progress}`)
  }

  get #progress () {
    return `${number.format(this.#rows)} of ${number.format(this.#of)} rows`
  }

  #turn (state, text) {
    this.item.dataset.state = state
    this.#state.textContent = text
    this.#stop.hidden = state !== 'waiting' && state !== 'running'
  }
}

document.querySelector('#start').addEventListener('submit', (event) => {
  event.preventDefault()
  attempt(() => post('/jobs', { file: document.querySelector('#file').value }))
})

// The page reads one job after the other, because browsers open at most six connections to a server for all tabs.
let reading = Promise.resolve()
for await (const { event, data } of follow('/jobs')) {
  if (event !== 'job') continue
  const job = new Job(data)
  list.prepend(job.item)
  if (list.childElementCount > KEPT) list.lastElementChild.remove()
  reading = reading.then(() => job.read())
}
