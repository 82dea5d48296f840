// Has Renovate put newer versions and digests into a repository's files, one at a time, and says what came of each: the line that is another.
// RENOVATE is its folder, PRESET the preset, and the arguments are files of the folder that this is started in.
import { readFileSync } from "node:fs";

const { doAutoReplace } = await import(`${process.env.RENOVATE}/workers/repository/update/branch/auto-replace.js`);
const { GlobalConfig } = await import(`${process.env.RENOVATE}/config/global.js`);
const { extractPackageFile } = await import(`${process.env.RENOVATE}/modules/manager/index.js`);

GlobalConfig.set({ localDir: process.cwd() });
const newValue = "v99.9.9";
const newDigest = `sha256:${"f".repeat(64)}`;

// updates are what a registry may have for a dependency: a version, a digest, both, or the digest of one that had none.
function updates(dep) {
  if (dep.currentValue && dep.currentDigest) return [{ newValue: dep.currentValue, newDigest }, { newValue, newDigest }];
  if (dep.currentDigest) return [{ newDigest }];
  if (dep.datasource !== "docker") return [{ newValue }];
  return [{ newValue }, { newValue: dep.currentValue, newDigest, isPinDigest: true }, { newValue, newDigest, isPinDigest: true }];
}

for (const packageFile of process.argv.slice(2)) {
  const before = readFileSync(packageFile, "utf8");
  for (const config of JSON.parse(readFileSync(process.env.PRESET, "utf8")).customManagers) {
    const manager = config.customType;
    const { deps = [], ...rest } = (await extractPackageFile(manager, before, packageFile, config)) ?? {};
    for (const [depIndex, dep] of deps.entries()) {
      for (const update of updates(dep)) {
        const after = await doAutoReplace({ ...config, ...rest, ...dep, ...update, manager, packageFile, depIndex }, before, false);
        const lines = before.split("\n");
        const others = after.split("\n").filter((line, i) => line !== lines[i]);
        if (others.length !== 1) throw new Error(`${dep.depName} ${JSON.stringify(update)}: ${others.length} lines are others`);
        console.log("updated:", others[0].trim());
      }
    }
  }
}
