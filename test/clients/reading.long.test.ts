import { compareTable } from './matrix.js'
import { reading } from './reading.js'

await compareTable('How clients read events', reading)
