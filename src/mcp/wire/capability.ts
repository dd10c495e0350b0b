import { tasksExtension, type QuestionMethod } from './names.js'

/** Whether a request declares the extension: said anew in each, and remembered from none (M-1). */
export function declaresTasks(capabilities: unknown): boolean {
  return (
    isObject(capabilities) &&
    isObject(capabilities['extensions']) &&
    isObject(capabilities['extensions'][tasksExtension])
  )
}

/** The capability that a client needs so that it can be asked. */
const needed: Readonly<Record<QuestionMethod, string>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
}

/** What a client may be asked for, of what it declares. */
export function questionsOf(capabilities: unknown): readonly QuestionMethod[] {
  if (!isObject(capabilities)) return []
  return (Object.keys(needed) as QuestionMethod[]).filter((method) => isObject(capabilities[needed[method]]))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
