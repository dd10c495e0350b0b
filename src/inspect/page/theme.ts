import { effect, signal } from '@preact/signals'

const themes = ['auto', 'light', 'dark'] as const
type Theme = (typeof themes)[number]

/** `auto` follows the system. Stored in the browser. */
export const theme = signal<Theme>(kept())

effect(() => {
  document.documentElement.dataset['theme'] = theme.value
})

/** Cycles through `auto`, `light` and `dark`. */
export function nextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? 'auto'
  try {
    localStorage.setItem('stateward.theme', theme.value)
  } catch {
    // Without storage the choice lasts until the browser is closed.
  }
}

function kept(): Theme {
  try {
    const name = localStorage.getItem('stateward.theme')
    return themes.find((known) => known === name) ?? 'auto'
  } catch {
    return 'auto'
  }
}
