import DefaultTheme from 'vitepress/theme'
import './colors.css'
import LiveDemo from './LiveDemo.vue'
import MermaidDiagram from './MermaidDiagram.vue'

export default {
  extends: DefaultTheme,
  enhanceApp ({ app }) {
    app.component('LiveDemo', LiveDemo)
    app.component('MermaidDiagram', MermaidDiagram)
  }
}
