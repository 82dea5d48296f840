// Does what the steps actions/cache/restore and actions/cache/save do, by the library that they are made of: its entry point is
// ACTIONS_CACHE. What it is to do comes as a step's inputs do, or, outside a step, by WHAT.
const cache = await import(process.env.ACTIONS_CACHE)
const input = name => process.env['INPUT_' + name] ?? ''
const path = [input('PATH')]
// A shell between the runner and this drops a variable with a dash in its name.
const restoreKeys = input('RESTORE-KEYS') || (process.env.RESTORE_KEYS ?? '')
const lines = text => text.split('\n').filter(line => line != '')
if ((process.env.WHAT ?? process.argv[1]).includes('restore')) {
  console.log('restored ' + await cache.restoreCache(path, input('KEY'), lines(restoreKeys)))
} else {
  console.log('saved ' + await cache.saveCache(path, input('KEY')))
}
