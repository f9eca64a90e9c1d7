@main struct GuestAgentCommand { static func main() {} }
