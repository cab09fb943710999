//! An Omni with an MCP server, before a simulator, as a process: for agents in other languages.
//! usage: omni LISTEN SIMULATOR

#[expect(dead_code, reason = "tests look into it and steer it; this only runs it")]
#[path = "../it/mcp/omni.rs"]
mod omni;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, simulator] = words.as_slice() else { panic!("usage: omni LISTEN SIMULATOR") };
    let omni = omni::Omni::start(listen).await;
    omni.before(simulator);
    println!("listening on {}", omni.url);
    std::future::pending::<()>().await;
}
