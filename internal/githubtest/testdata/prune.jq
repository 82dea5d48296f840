# Keeps of GitHub's OpenAPI description the operations that the program uses, without what only people read.
# From package/generated/api.github.com.deref.json of the npm package @octokit/openapi 23.0.2 (MIT license, https://github.com/octokit/openapi):
#   npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
#   jq --sort-keys --compact-output -f prune.jq package/generated/api.github.com.deref.json > openapi.json
{
  openapi, info: {title: .info.title, version: .info.version},
  paths: {
    "/repos/{owner}/{repo}/actions/cache/usage": (.paths["/repos/{owner}/{repo}/actions/cache/usage"] | {get}),
    "/repos/{owner}/{repo}/actions/cache/storage-limit": (.paths["/repos/{owner}/{repo}/actions/cache/storage-limit"] | {get}),
    "/repos/{owner}/{repo}/actions/caches": (.paths["/repos/{owner}/{repo}/actions/caches"] | {get}),
    "/repos/{owner}/{repo}/code-scanning/alerts": (.paths["/repos/{owner}/{repo}/code-scanning/alerts"] | {get}),
    "/repos/{owner}/{repo}/code-scanning/sarifs": (.paths["/repos/{owner}/{repo}/code-scanning/sarifs"] | {post}),
    "/repos/{owner}/{repo}/code-scanning/sarifs/{sarif_id}": (.paths["/repos/{owner}/{repo}/code-scanning/sarifs/{sarif_id}"] | {get}),
    "/repos/{owner}/{repo}/commits/{ref}": (.paths["/repos/{owner}/{repo}/commits/{ref}"] | {get}),
    "/repos/{owner}/{repo}/commits/{commit_sha}/pulls": (.paths["/repos/{owner}/{repo}/commits/{commit_sha}/pulls"] | {get}),
    "/repos/{owner}/{repo}/attestations": (.paths["/repos/{owner}/{repo}/attestations"] | {post}),
    "/repos/{owner}/{repo}/attestations/{subject_digest}": (.paths["/repos/{owner}/{repo}/attestations/{subject_digest}"] | {get}),
    "/orgs/{org}/packages/{package_type}/{package_name}/versions": (.paths["/orgs/{org}/packages/{package_type}/{package_name}/versions"] | {get}),
    "/orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}": (.paths["/orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}"] | {get, delete}),
    "/orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}/restore": (.paths["/orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}/restore"] | {post}),
    "/users/{username}/packages/{package_type}/{package_name}/versions": (.paths["/users/{username}/packages/{package_type}/{package_name}/versions"] | {get}),
    "/users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}": (.paths["/users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}"] | {get, delete}),
    "/users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}/restore": (.paths["/users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}/restore"] | {post}),
    "/repos/{owner}/{repo}/branches": (.paths["/repos/{owner}/{repo}/branches"] | {get}),
    "/repos/{owner}/{repo}/pulls": (.paths["/repos/{owner}/{repo}/pulls"] | {get}),
    "/repos/{owner}/{repo}/deployments": (.paths["/repos/{owner}/{repo}/deployments"] | {get, post}),
    "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses": (.paths["/repos/{owner}/{repo}/deployments/{deployment_id}/statuses"] | {get, post}),
    "/repos/{owner}/{repo}/issues": (.paths["/repos/{owner}/{repo}/issues"] | {get, post}),
    "/repos/{owner}/{repo}/issues/{issue_number}": (.paths["/repos/{owner}/{repo}/issues/{issue_number}"] | {patch}),
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": (.paths["/repos/{owner}/{repo}/issues/{issue_number}/comments"] | {get, post}),
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": (.paths["/repos/{owner}/{repo}/issues/comments/{comment_id}"] | {patch}),
    "/repos/{owner}/{repo}/releases": (.paths["/repos/{owner}/{repo}/releases"] | {get, post}),
    "/repos/{owner}/{repo}/releases/generate-notes": (.paths["/repos/{owner}/{repo}/releases/generate-notes"] | {post}),
    "/repos/{owner}/{repo}/releases/{release_id}": (.paths["/repos/{owner}/{repo}/releases/{release_id}"] | {patch, delete}),
    "/repos/{owner}/{repo}/releases/{release_id}/assets": (.paths["/repos/{owner}/{repo}/releases/{release_id}/assets"] | {get}),
    "/repos/{owner}/{repo}/releases/assets/{asset_id}": (.paths["/repos/{owner}/{repo}/releases/assets/{asset_id}"] | {delete})
  }
}
| walk(if type == "object"
    then with_entries(select((.key | IN("examples", "example", "externalDocs", "x-github", "headers") | not) and ((.key | IN("description", "title", "summary") | not) or (.value | type) != "string")))
    else . end)
| .info.title = "GitHub REST API, in part"
# A description of an answer is required by OpenAPI.
| .paths[][].responses[] |= (.description = "")
