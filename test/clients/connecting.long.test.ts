import { connecting } from './connecting.js'
import { compareTable } from './matrix.js'

await compareTable('How clients connect', connecting)
